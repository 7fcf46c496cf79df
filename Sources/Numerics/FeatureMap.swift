/// A feature map that is read, or the gradient of one: images x height x width x channels.
public struct FeatureMap {
  /// Where it begins. Of bf16 two channels, whose number is even, take the place of a float.
  public let start: UnsafePointer<Float>
  public let precision: Precision

  /// - Parameter precision: bf16 only for an engine that rounds to it.
  public init(_ start: UnsafePointer<Float>, stored precision: Precision) {
    self.start = start
    self.precision = precision
  }

  /// Values as the layers compute them.
  public static func fp32(_ start: UnsafePointer<Float>) -> FeatureMap { FeatureMap(start, stored: .fp32) }

  var isBF16: Bool { precision == .bf16 }

  /// Where it begins, for what reads single precision only.
  package var floats: UnsafePointer<Float> {
    precondition(precision == .fp32)
    return start
  }

  /// Whether the first `count` values are finite.
  package func isFinite(count: Int) -> Bool {
    if !isBF16 { return areFinite(start, count: count) }
    return UnsafeRawPointer(start).withMemoryRebound(to: UInt16.self, capacity: count) { halves in
      (0..<count).allSatisfy { halves[$0] & 0x7F80 != 0x7F80 }
    }
  }

  /// Floats' places that `count` values take.
  func words(_ count: Int) -> Int { precision.words(count) }

  /// The same from value `offset` on, an even one.
  package func advanced(by offset: Int) -> FeatureMap {
    FeatureMap(start + words(offset), stored: precision)
  }
}
