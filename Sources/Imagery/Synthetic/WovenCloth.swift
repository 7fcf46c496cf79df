import Glibc
import RandomStreams

/// A photograph of a piece of twill, as a camera over a weaving machine might take it.
///
/// Every picture shows another place of the same cloth, a little shifted, turned and stretched, in a light of its own.
/// Heights and colors of the threads are laid out on a grid twice as fine as the picture, lit, and scaled down.
struct WovenCloth {
  private static let threadsAcross: Float = 34
  private static let warpColor = SIMD3<Float>(0.085, 0.165, 0.27)
  private static let weftColor = SIMD3<Float>(0.52, 0.45, 0.35)
  private static let backing = SIMD3<Float>(0.05, 0.045, 0.045)

  private let turn: SIMD2<Float>
  private let pitch: Float
  private let shift: SIMD2<Float>
  private let tint: SIMD3<Float>
  private let light: SIMD3<Float>
  private let gradient: SIMD2<Float>
  private let exposure: Float
  private let wobble: Noise
  private let fibres: Noise
  private let yarns: Noise
  private let grain: Noise

  init(random: inout SplitMix64) {
    let angle = random.float(-0.09...0.09)
    turn = [cos(angle), sin(angle)]
    pitch = random.float(0.95...1.05) / Self.threadsAcross
    shift = [random.float(0...400), random.float(0...400)]
    tint = [random.float(0.97...1.03), random.float(0.98...1.02), random.float(0.97...1.03)]
    let (azimuth, elevation) = (random.float(-2.6 ... -2.1), random.float(0.75...0.95))
    light = [cos(azimuth) * cos(elevation), sin(azimuth) * cos(elevation), sin(elevation)]
    gradient = [random.float(-0.16...0.16), random.float(-0.16...0.16)]
    exposure = random.float(0.94...1.06)
    wobble = Noise(&random)
    fibres = Noise(&random)
    yarns = Noise(&random)
    grain = Noise(&random)
  }

  /// Takes the picture.
  /// - Parameter size: its side in pixels.
  /// - Returns: the picture in color; and the mask of the defect, 255 where it is, where there is one.
  func photograph(size: Int, defect: Defect? = nil) -> (picture: Raster, mask: Raster?) {
    let side = 2 * size
    var heights = [Float](repeating: 0, count: side * side)
    var colors = [SIMD3<Float>](repeating: .zero, count: side * side)
    var marks = [UInt8](repeating: 0, count: defect == nil ? 0 : side * side)
    let centerThread = defect.map { thread(at: $0.center) } ?? .zero
    for y in 0..<side {
      for x in 0..<side {
        let position = (SIMD2(Float(x), Float(y)) + 0.5) / Float(side)
        let thread = thread(at: position)
        let coverage =
          defect?.coverage(at: position, thread: thread, centerThread: centerThread, pitch: pitch) ?? 0
        let index = y * side + x
        (heights[index], colors[index]) = weave(at: thread, defect: defect, coverage: coverage)
        // From here on it can be seen.
        if coverage > 0.3 { marks[index] = 255 }
      }
    }
    let picture = lit(heights, colors, side: side).resized(width: size, height: size)
    guard defect != nil else { return (picture, nil) }
    var mask = Raster(width: side, height: side, channels: 1, pixels: marks).resized(width: size, height: size)
    // A pixel is marked from a quarter on, or thin scratches would be interrupted.
    mask.pixels = mask.pixels.map { $0 >= 64 ? 255 : 0 }
    return (picture, mask)
  }

  /// The place on the cloth, in threads, that a place in the picture shows.
  private func thread(at position: SIMD2<Float>) -> SIMD2<Float> {
    let centered = (position - 0.5) / pitch
    let turned = SIMD2(centered.x * turn.x - centered.y * turn.y, centered.x * turn.y + centered.y * turn.x)
    let drift = SIMD2(
      wobble.octaves(2, position.x * 5, position.y * 5), wobble.octaves(2, position.x * 5 + 50, position.y * 5))
    return turned + shift + 0.9 * (drift - 0.5)
  }

  /// Whether the warp thread `i` passes over (1) or under (-1) the weft thread `j`: a 2/2 twill.
  private func side(_ i: Int32, _ j: Int32) -> Float { (i &+ j) & 3 < 2 ? 1 : -1 }

  /// The highest thread at a place: its height (about -1 to 2) and color.
  private func weave(at thread: SIMD2<Float>, defect: Defect?, coverage: Float) -> (Float, SIMD3<Float>) {
    var warp = yarn(across: thread.x, along: thread.y, isWarp: true)
    var weft = yarn(across: thread.y, along: thread.x, isWarp: false)
    if let defect, coverage > 0, defect.kind == .missingThread {
      if defect.takesWarp { warp.height = -2 } else { weft.height = -2 }
    }
    let isWarp = warp.height > weft.height
    var height = max(warp.height, weft.height, -1.1)
    var color = isWarp ? Self.warpColor * warp.shade : Self.weftColor * weft.shade
    if height <= -1.1 { color = Self.backing }
    guard let defect, coverage > 0 else { return (height, color) }
    switch defect.kind {
    case .hole:
      height = mix(height, -3.5, coverage)
      color += (Self.backing * (0.7 + 0.6 * fibres(thread.x * 0.8, thread.y * 0.8)) - color) * coverage
    case .scratch:
      // Fibres are roughened and torn: flatter, and paler.
      let worn = coverage * mix(0.35, 0.95, defect.strength)
      let fuzz = 0.6 + 0.5 * fibres(thread.x * 5, thread.y * 5)
      height = mix(height, 0.9 + 0.5 * fuzz, worn)
      color += (SIMD3(0.80, 0.79, 0.76) * fuzz - color) * worn
    case .stain:
      color *= defect.stainFilter(coverage: coverage)
    case .missingThread:
      break
    }
    return (height, color)
  }

  /// One system of threads at a place: height and shade of the thread there.
  private func yarn(across: Float, along: Float, isWarp: Bool) -> (height: Float, shade: Float) {
    let number = across.rounded(.down)
    let own = Int32(number)
    let before = (along - 0.5).rounded(.down)
    let crossing = Int32(before)
    let sides =
      isWarp
      ? (side(own, crossing), side(own, crossing &+ 1)) : (-side(crossing, own), -side(crossing &+ 1, own))
    let lift = mix(sides.0, sides.1, smoothstep(along - 0.5 - before))
    let kind: Float = isWarp ? 0 : 1000
    let swelling = yarns(number + kind, along * 0.35) - 0.5
    let f = (across - number - 0.5) / (0.47 + 0.06 * swelling)
    let round = 1 - f * f
    guard round > 0 else { return (-2, 1) }
    // Two plies twisted around each other, and the fibres they are spun of.
    let ply = sin(2 * .pi * (0.55 * f + 1.15 * along))
    let fibre = fibres(number * 7.3 + f * 5 + along * 1.6 + kind, along * 2.4 - f * 1.2) - 0.5
    let height = 0.6 * lift + round.squareRoot() + 0.10 * ply + 0.22 * fibre
    let shade = 1 + 0.16 * (yarns.point(own, isWarp ? 5 : 9) - 0.5) + 0.20 * swelling + 0.35 * fibre + 0.05 * ply
    return (height, shade)
  }

  /// Light and camera: shading by slope and depth, uneven light, a vignette, sensor noise.
  private func lit(_ heights: [Float], _ colors: [SIMD3<Float>], side: Int) -> Raster {
    let steepness = Float(side) * pitch * 0.13
    var pixels = [UInt8](repeating: 0, count: side * side * 3)
    for y in 0..<side {
      let (above, below) = (max(y - 1, 0) * side, min(y + 1, side - 1) * side)
      for x in 0..<side {
        let index = y * side + x
        let slopeX = heights[y * side + min(x + 1, side - 1)] - heights[y * side + max(x - 1, 0)]
        let slopeY = heights[below + x] - heights[above + x]
        let normal = SIMD3(-slopeX * steepness, -slopeY * steepness, 1)
        let length = (normal * normal).sum().squareRoot()
        let diffuse = max(0, (normal * light).sum() / length)
        let openness = mix(0.35, 1, smoothstep((heights[index] + 1.3) / 2.6))
        let place = SIMD2(Float(x), Float(y)) / Float(side) - 0.5
        let lamp = 1 + (place * gradient).sum() * 2 - 0.28 * (place * place).sum()
        let gloss = pow(diffuse, 24) * 0.06
        let radiance =
          (colors[index] * tint * (0.30 + 0.95 * diffuse) * openness + gloss) * lamp * exposure
        // Each color has its own noise; halving the picture halves it.
        for channel in 0..<3 {
          let noise = (grain.point(Int32(index), Int32(channel)) - 0.5) * 0.05
          let value = max(0, radiance[channel]).squareRoot() * 1.02 + noise
          pixels[3 * index + channel] = UInt8(min(max(value, 0), 1) * 255 + 0.5)
        }
      }
    }
    return Raster(width: side, height: side, channels: 3, pixels: pixels)
  }
}
