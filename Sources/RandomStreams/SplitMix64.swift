/// The generator of Steele, Lea and Flood (2014): small, and the same numbers on every machine.
public struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// A stream of its own for each list of numbers.
  public init(_ seeds: UInt64...) {
    state = 0
    for seed in seeds { state = next() ^ seed }
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// Evenly distributed, 24 bits.
  public mutating func float(_ range: ClosedRange<Float>) -> Float {
    range.lowerBound + Float(next() >> 40) / 0x1p24 * (range.upperBound - range.lowerBound)
  }

  public mutating func coin() -> Bool { next() >> 63 == 1 }
}
