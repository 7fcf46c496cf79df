import Glibc

extension SplitMix64 {
  /// A stream of its own for each seed and name.
  public init(_ seed: UInt64, name: String) {
    self.init(seed, hash(of: name))
  }

  /// Evenly distributed from 0 to below 1, 53 bits.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Two numbers of the standard normal distribution (Box and Muller, 1958).
  public mutating func normalPair() -> (Double, Double) {
    let radius = (-2 * log(1 - unit())).squareRoot()
    let angle = 2 * Double.pi * unit()
    return (radius * cos(angle), radius * sin(angle))
  }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
private func hash(of name: String) -> UInt64 {
  name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
}
