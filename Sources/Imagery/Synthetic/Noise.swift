import RandomStreams

/// Smooth random fields over the plane: value noise, whose lattice points are a hash of where they are.
struct Noise {
  private let seed: UInt32

  init(_ random: inout SplitMix64) { seed = UInt32(truncatingIfNeeded: random.next()) }

  /// The value at a lattice point, 0 to 1.
  @inline(__always)
  func point(_ x: Int32, _ y: Int32) -> Float {
    var hash = UInt32(bitPattern: x) &* 0x9E37_79B1 ^ UInt32(bitPattern: y) &* 0x85EB_CA77 ^ seed
    hash = (hash ^ (hash >> 15)) &* 0x2C1B_3C6D
    hash = (hash ^ (hash >> 12)) &* 0x297A_2D39
    return Float((hash ^ (hash >> 15)) >> 8) / 0x1p24
  }

  /// The field at any point, 0 to 1, with features about one unit large.
  @inline(__always)
  func callAsFunction(_ x: Float, _ y: Float) -> Float {
    let (column, row) = (x.rounded(.down), y.rounded(.down))
    let (i, j) = (Int32(column), Int32(row))
    let (s, t) = (smoothstep(x - column), smoothstep(y - row))
    return mix(
      mix(point(i, j), point(i &+ 1, j), s),
      mix(point(i, j &+ 1), point(i &+ 1, j &+ 1), s), t)
  }

  /// The field and finer copies of it, each at half the strength of the one before; 0 to 1.
  func octaves(_ count: Int, _ x: Float, _ y: Float) -> Float {
    var (sum, total, strength, scale): (Float, Float, Float, Float) = (0, 0, 1, 1)
    for octave in 0..<count {
      sum += strength * self(x * scale + Float(17 * octave), y * scale - Float(31 * octave))
      total += strength
      strength *= 0.5
      scale *= 2
    }
    return sum / total
  }
}

@inline(__always)
func mix(_ from: Float, _ to: Float, _ share: Float) -> Float { from + (to - from) * share }

/// From 0 at 0 to 1 at 1 without corners.
@inline(__always)
func smoothstep(_ x: Float) -> Float {
  let x = min(max(x, 0), 1)
  return x * x * (3 - 2 * x)
}
