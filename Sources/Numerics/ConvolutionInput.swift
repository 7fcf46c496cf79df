/// What a convolution reads: a feature map or the gradient of one, images x height x width x channels.
public struct ConvolutionInput {
  /// Where it begins. Of bf16 two channels, whose number is even, take the place of a float.
  public let start: UnsafePointer<Float>
  public let precision: Precision

  /// - Parameter precision: bf16 only for an engine that rounds to it.
  public init(_ start: UnsafePointer<Float>, stored precision: Precision) {
    self.start = start
    self.precision = precision
  }

  /// Values as the layers compute them.
  public static func fp32(_ start: UnsafePointer<Float>) -> ConvolutionInput { ConvolutionInput(start, stored: .fp32) }

  var isBF16: Bool { precision == .bf16 }

  /// Floats' places that `count` values take.
  func words(_ count: Int) -> Int { precision.words(count) }

  /// The same from value `offset` on, an even one.
  func advanced(by offset: Int) -> ConvolutionInput {
    ConvolutionInput(start + words(offset), stored: precision)
  }

  /// Of bf16, value by value.
  func withHalves(_ body: (UnsafePointer<UInt16>) -> Void) {
    UnsafeRawPointer(start).withMemoryRebound(to: UInt16.self, capacity: 1, body)
  }
}
