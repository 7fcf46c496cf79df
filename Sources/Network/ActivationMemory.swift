import Numerics

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
