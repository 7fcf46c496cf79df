import Diagnostics
import Numerics

/// The parameters of a network as flat memory: what is exchanged, updated and stored as a whole.
///
/// Layers claim their places when they are made; ``allocate()`` then gives the memory.
public final class ParameterArena {
  /// One parameter tensor.
  public struct Entry: Sendable {
    /// The name in PyTorch's state dict.
    public let name: String
    /// The convolution that the weights belong to; nil for a vector by channels.
    public let convolution: ConvolutionShape?
    public let offset: Int
    public let count: Int

    /// The shape in PyTorch.
    public var torchShape: [Int] { convolution?.torchWeightShape ?? [count] }
  }

  public private(set) var entries: [Entry] = []
  public private(set) var count = 0
  private let memory = FloatBuffer()

  public init() {}

  /// The values, once there is memory for them.
  public var values: UnsafeMutablePointer<Float> { memory.pointer }

  public func allocate() { memory.grow(to: count) }

  func claimWeights(_ name: String, of shape: ConvolutionShape) -> Int {
    claim(Entry(name: name, convolution: shape, offset: count, count: shape.weightCount))
  }

  func claimVector(_ name: String, count channels: Int) -> Int {
    claim(Entry(name: name, convolution: nil, offset: count, count: channels))
  }

  private func claim(_ entry: Entry) -> Int {
    entries.append(entry)
    count += entry.count
    return entry.offset
  }
}

/// All that is learnt, in three arenas that are treated in different ways.
public final class Parameters {
  /// The convolutions' weights: almost everything. Each rank has partial gradients of all of them.
  public let weights = ParameterArena()
  /// Scales and shifts of the batch normalisations. Their gradients are sums over the whole batch, the same on every rank.
  public let affine = ParameterArena()
  /// Running means and variances, which are no parameters but belong to the model.
  public let statistics = ParameterArena()
  /// Where the weights' gradients lie, and the layers' outputs before these.
  let stepMemory = StepMemory()
  /// Partial gradients of the weights: a copy for each of the rank's nodes in the tree of shards. They last until the next forward pass.
  public var weightGradients: UnsafeMutablePointer<Float> { stepMemory.gradients }
  public var weightGradientBytes: Int { nodes * weights.count * MemoryLayout<Float>.stride }
  /// This rank's nodes in the tree of shards.
  public private(set) var nodes = 0
  /// The affine parameters' gradients.
  public let affineGradients = FloatBuffer()

  public init() {}

  /// SHA-256 over all values.
  public var fingerprint: String {
    var hash = SHA256()
    for arena in [weights, affine, statistics] {
      hash.update(UnsafeRawBufferPointer(start: arena.values, count: arena.count * MemoryLayout<Float>.stride))
    }
    return hash.hexDigest()
  }

  public func allocate(nodes: Int) {
    self.nodes = nodes
    weights.allocate()
    affine.allocate()
    statistics.allocate()
    stepMemory.allocate(gradients: nodes * weights.count)
    affineGradients.grow(to: affine.count)
  }
}
