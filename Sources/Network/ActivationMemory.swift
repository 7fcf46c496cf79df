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

  /// - Parameter keepsActivations: whether there is a backward pass.
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

  /// Whether the output of a stage's block gets memory of its own, and is kept. The last one's leaves the stage. Back-propagation needs all of them, but
  /// makes every other one again from the one before.
  /// - Parameter later: the blocks behind it.
  func keepsOutput(later: Int) -> Bool { keepsActivations ? later % 2 == 0 : later == 0 }

  /// Memory for what is added to a block's last convolution. In training that has memory of its own, so the block's output can take its place.
  func skipOutput(_ countPerImage: Int, beside output: FloatBuffer) -> FloatBuffer {
    keepsActivations ? output : buffer(for: .skip, countPerImage)
  }

  func buffer(for role: Role, _ countPerImage: Int) -> FloatBuffer {
    let buffer = shared[role] ?? FloatBuffer()
    buffer.grow(to: images * countPerImage)
    shared[role] = buffer
    return buffer
  }
}
