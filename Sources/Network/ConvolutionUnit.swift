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

  /// Computes y = activation(norm(conv(x)) [+ residual]) for `images` images.
  /// - Parameters:
  ///   - residual: of y's size, dense.
  ///   - stride: the distance between two pixels of y in floats; more than the channels where y is part of a concatenation.
  func forward(
    _ x: UnsafePointer<Float>, images: Int, residual: UnsafePointer<Float>?,
    into y: UnsafeMutablePointer<Float>, stride: Int) throws
}

extension ConvolutionUnit {
  /// The same without a residual, dense.
  public func forward(_ x: UnsafePointer<Float>, images: Int, into y: UnsafeMutablePointer<Float>) throws {
    try forward(x, images: images, residual: nil, into: y, stride: shape.outputChannels)
  }
}

/// Gives layers the memory for their activations.
public final class ActivationMemory {
  /// What an activation is for, which says how long it is needed.
  enum Role: Hashable {
    /// The output of a block's convolution number `n`, but for the last one.
    case hidden(Int)
    /// What the skip connection adds.
    case skip
    /// The output of a block; that of the block after it is of the other parity.
    case block(parity: Int)
    /// The gradient of what is hidden.
    case innerGradient
  }

  /// The most images at a time.
  public let images: Int
  private let keepsActivations: Bool
  private var shared: [Role: FloatBuffer] = [:]

  /// - Parameter keepsActivations: whether each block's output gets memory of its own, as back-propagation needs, or shares it with others.
  public init(images: Int, keepsActivations: Bool) {
    self.images = images
    self.keepsActivations = keepsActivations
  }

  /// Memory that nothing else uses.
  public func own(_ countPerImage: Int) -> FloatBuffer { FloatBuffer(images * countPerImage) }

  /// Memory for the gradient of an activation that only one layer uses, until the next of them; nil where nothing is trained.
  public func innerGradient(_ countPerImage: Int) -> FloatBuffer? {
    keepsActivations ? buffer(for: .innerGradient, countPerImage) : nil
  }

  func buffer(for role: Role, _ countPerImage: Int) -> FloatBuffer {
    // What is hidden in a block is made anew when its turn comes.
    if keepsActivations, case .block = role { return own(countPerImage) }
    let buffer = shared[role] ?? FloatBuffer()
    buffer.grow(to: images * countPerImage)
    shared[role] = buffer
    return buffer
  }
}
