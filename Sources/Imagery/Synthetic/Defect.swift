import Glibc
import RandomStreams

/// What can go wrong with the cloth. The raw value is the name of the folder.
enum DefectKind: String, CaseIterable {
  case hole
  case missingThread = "missing_thread"
  case scratch
  case stain
}

/// One defect: where it is, and how strong.
///
/// Lengths are shares of the picture's side, positions from its top left, 0 to 1.
struct Defect {
  let kind: DefectKind
  /// How visible: 0 (barely) to 1.
  let strength: Float
  let center: SIMD2<Float>
  /// Whether it is warp threads that miss, where threads miss.
  let takesWarp: Bool
  private let size: Float
  private let direction: SIMD2<Float>
  private let bend: Float
  private let noise: Noise

  /// - Parameter scale: how much larger it is than others of its kind.
  init(_ kind: DefectKind, scale: Float = 1, random: inout SplitMix64) {
    self.kind = kind
    strength = random.float(0...1)
    center = [random.float(0.2...0.8), random.float(0.2...0.8)]
    let usual =
      switch kind {
      case .hole: random.float(0.025...0.08)
      case .missingThread: random.float(0.12...0.35)
      case .scratch: random.float(0.14...0.32)
      case .stain: random.float(0.06...0.15)
      }
    size = scale * usual
    let angle = random.float(0...2 * .pi)
    direction = [cos(angle), sin(angle)]
    bend = random.float(-0.35...0.35)
    takesWarp = random.coin()
    noise = Noise(&random)
  }

  /// How much of a spot of the picture the defect has taken, 0 to 1.
  ///
  /// - Parameters:
  ///   - position: in the picture.
  ///   - thread: the same spot on the cloth: number of the warp thread, number of the weft thread, with fractions.
  ///   - centerThread: the defect's center on the cloth.
  ///   - pitch: the distance from thread to thread in the picture.
  func coverage(
    at position: SIMD2<Float>, thread: SIMD2<Float>, centerThread: SIMD2<Float>, pitch: Float
  ) -> Float {
    let offset = position - center
    switch kind {
    case .hole, .stain:
      let distance = (offset * offset).sum().squareRoot()
      if distance > 1.6 * size { return 0 }
      let isHole = kind == .hole
      let lobes = noise.octaves(isHole ? 2 : 4, offset.x / size * 1.3 + 40, offset.y / size * 1.3 + 40) - 0.5
      // Each torn thread ends where it likes: warp above and below the hole, weft on its left and right.
      let ends = SIMD2(
        noise.point(1000, Int32(thread.y.rounded(.down))), noise.point(Int32(thread.x.rounded(.down)), 1000))
      let facing = offset * offset / max(distance * distance, 1e-6)
      let fray = isHole ? 1.6 * pitch * ((ends - 0.5) * facing).sum() : 0
      let radius = max(size * (1 + 1.1 * lobes) + fray, 0.5 * size)
      return smoothstep(0.5 + (radius - distance) / (isHole ? 0.004 : 0.014))
    case .scratch:
      let along = (offset * direction).sum()
      let across = offset.x * -direction.y + offset.y * direction.x
      if abs(along) > size { return 0 }
      let course = bend * (along * along / size - size / 3) + 0.012 * (noise(along * 30 + 9, 3) - 0.5)
      let taper = 1 - (along / size) * (along / size)
      let width = mix(0.006, 0.011, strength) * taper * mix(0.6, 1.4, noise(along * 60, 70))
      return smoothstep(0.5 + (width - abs(across - course)) / 0.004) * min(1, 5 * taper)
    case .missingThread:
      let (own, other) = takesWarp ? (thread.x, thread.y) : (thread.y, thread.x)
      let (center, middle) = takesWarp ? (centerThread.x, centerThread.y) : (centerThread.y, centerThread.x)
      let count: Float = strength > 0.6 ? 2 : 1
      let row = own.rounded(.down) - center.rounded(.down)
      return row >= 0 && row < count && abs(other - middle) < size / pitch ? 1 : 0
    }
  }

  /// The color that a stain leaves: the share of light that passes it, darker along its edge.
  func stainFilter(coverage: Float) -> SIMD3<Float> {
    let edge = 6.75 * coverage * coverage * (1 - coverage)
    let depth = mix(0.28, 0.75, strength) * (coverage + 0.35 * edge)
    return 1 - depth * SIMD3(0.42, 0.62, 0.85)
  }
}
