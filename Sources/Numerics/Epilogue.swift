import CVectorKernels

/// What a convolution's output goes through at the end.
public enum Activation: Sendable {
  case linear
  case relu
  /// min(ReLU(y), 6)
  case relu6

  var code: Int32 {
    switch self {
    case .linear: Int32(RD_LINEAR)
    case .relu: Int32(RD_RELU)
    case .relu6: Int32(RD_RELU6)
    }
  }
}

/// What follows a convolution with frozen weights: a bias is added, a residual where there is one, and the activation comes last.
public struct Epilogue {
  let bias: UnsafePointer<Float>
  /// Lies as the output does.
  let residual: UnsafePointer<Float>?
  let activation: Activation

  public init(bias: UnsafePointer<Float>, residual: UnsafePointer<Float>?, activation: Activation) {
    self.bias = bias
    self.residual = residual
    self.activation = activation
  }

  /// Finishes some pixels and channels of y.
  func finish(
    _ y: UnsafeMutablePointer<Float>, stride: Int, pixels: Range<Int>, channels: Range<Int>, outputChannels: Int
  ) {
    rd_add_bias(
      y, stride, bias + channels.lowerBound,
      residual.map { $0 + pixels.lowerBound * outputChannels + channels.lowerBound }, outputChannels, activation.code,
      pixels.count, channels.count)
  }
}
