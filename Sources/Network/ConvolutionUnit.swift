import Numerics

/// A convolution and the batch normalisation behind it: what the networks here are made of.
public struct UnitDescription: Sendable {
  /// The convolution's name in PyTorch's state dict, without `.weight`.
  public let convolution: String
  /// The batch normalisation's name, without `.weight` and the like.
  public let normalization: String
  public let shape: ConvolutionShape
  /// What the output goes through, behind the residual where one is added.
  public let activation: Activation
  /// What the batch normalisation adds to the variance.
  public let epsilon: Double

  public init(
    convolution: String, normalization: String, shape: ConvolutionShape, activation: Activation = .relu,
    epsilon: Double = 1e-5
  ) {
    self.convolution = convolution
    self.normalization = normalization
    self.shape = shape
    self.activation = activation
    self.epsilon = epsilon
  }
}

/// The forward pass of a convolution with batch normalisation, then the addition of a residual where there is one, then the activation.
///
/// ``NormalizedConvolution`` learns, ``FrozenConvolution`` does not.
public protocol ConvolutionUnit: AnyObject {
  var shape: ConvolutionShape { get }
  /// How outputs are stored that do not leave a stage, and in training the gradients of those that do not leave a block.
  var hiddenPrecision: Precision { get }

  /// Computes y = activation(norm(conv(x)) [+ residual]) for `images` images.
  /// - Parameters:
  ///   - residual: of y's size, dense.
  ///   - stored: how y is: in single precision or in ``hiddenPrecision``.
  ///   - stride: the distance between two pixels of y in values; more than the channels where y is part of a concatenation.
  func forward(
    _ x: FeatureMap, images: Int, residual: FeatureMap?, into y: UnsafeMutablePointer<Float>, stored: Precision,
    stride: Int) throws
}

extension ConvolutionUnit {
  /// The same without a residual, dense, in single precision.
  public func forward(_ x: UnsafePointer<Float>, images: Int, into y: UnsafeMutablePointer<Float>) throws {
    try forward(
      .fp32(x), images: images, residual: nil, into: y, stored: .fp32, stride: shape.outputChannels)
  }
}
