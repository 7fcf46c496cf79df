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

  /// Evenly distributed from 0 to below `bound` (D. Lemire, "Fast random integer generation in an interval", 2019).
  public mutating func below(_ bound: UInt64) -> UInt64 {
    var product = next().multipliedFullWidth(by: bound)
    if product.low < bound {
      // Where the lowest part of the range would get one number more than the rest.
      let surplus = (0 &- bound) % bound
      while product.low < surplus { product = next().multipliedFullWidth(by: bound) }
    }
    return product.high
  }

  /// The elements in an order of chance (Fisher and Yates). Written out, since the standard library does not promise to keep its own way.
  public mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
    var elements = elements
    for index in elements.indices.dropLast() {
      elements.swapAt(index, index + Int(below(UInt64(elements.count - index))))
    }
    return elements
  }
}
