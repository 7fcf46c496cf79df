import Collectives
import Numerics

/// What the layers share in a training step: threads, engine, the shards' images, and the sums over all ranks.
public final class TrainingStep {
  public let engine: any ConvolutionEngine
  public let parameters = Parameters()
  public let accumulator: ShardAccumulator
  let reduction: ShardReduction
  /// The most images this rank has in a step.
  public let capacity: Int
  /// This rank's shards.
  public let shardCount: Int

  /// The images of each of this rank's shards in the present step, consecutive and in shard order.
  public private(set) var shards: [Range<Int>]
  /// This rank's images in the present step.
  public private(set) var images = 0
  /// The images of all ranks in the present step.
  public private(set) var batch = 0

  /// The gradient of the output of the block that back-propagation has reached; it becomes that of the block's input.
  package let gradient = FloatBuffer()
  /// Of convolutions that do not keep theirs.
  let passingOutput = PassingOutput()
  /// Outputs that are kept, and the weights' gradients.
  var memory: StepMemory { parameters.stepMemory }

  private var partials: UnsafeMutableBufferPointer<Double>
  private var totals: UnsafeMutableBufferPointer<Double>
  /// For each thread, what the sum over shards needs.
  private let blocks: [FloatBuffer]
  private let firstShard: Int

  public var team: ThreadTeam { engine.team }

  /// - Parameters:
  ///   - capacity: the most images this rank has in a step.
  public init(engine: any ConvolutionEngine, tree: ShardTree, communicator: any Communicator, capacity: Int) {
    self.engine = engine
    self.capacity = capacity
    accumulator = ShardAccumulator(tree: tree, rank: communicator.rank)
    reduction = ShardReduction(tree: tree, over: communicator)
    shardCount = tree.shards(of: communicator.rank).count
    firstShard = tree.shards(of: communicator.rank).lowerBound
    blocks = (0..<engine.team.count).map { _ in FloatBuffer() }
    shards = Array(repeating: 0..<0, count: shardCount)
    partials = .allocate(capacity: 0)
    totals = .allocate(capacity: 0)
  }

  deinit {
    partials.deallocate()
    totals.deallocate()
  }

  /// Sets the images of a step.
  /// - Parameters:
  ///   - counts: the images of each of this rank's shards.
  ///   - batch: the images of all ranks.
  public func begin(imagesPerShard counts: [Int], batch: Int) {
    precondition(counts.count == shardCount)
    images = 0
    for shard in counts.indices {
      shards[shard] = images..<images + counts[shard]
      images += counts[shard]
    }
    precondition(images <= capacity)
    self.batch = batch
    memory.begin()
  }

  /// Makes room for a layer with these shapes.
  func reserve(_ shape: ConvolutionShape) {
    engine.reserve(shape, images: capacity, shards: shardCount)
    reserveSums(2 * shape.outputChannels)
    for buffer in blocks { buffer.grow(to: accumulator.room(forBlocksOf: engine.largestBlock(shape))) }
    gradient.grow(to: capacity * max(shape.inputCount, shape.outputCount))
  }

  /// Makes room for sums of `count` values.
  package func reserveSums(_ count: Int) {
    guard totals.count < count else { return }
    partials.deallocate()
    totals.deallocate()
    partials = .allocate(capacity: count * shardCount)
    totals = .allocate(capacity: count)
  }

  /// Sums values over all images of all ranks, always in the same order.
  /// - Parameters:
  ///   - count: how many sums there are.
  ///   - add: adds one shard's images to the sums, which start from 0.
  /// - Returns: the sums, valid until the next call.
  package func sumOverBatch(
    _ count: Int, add: (_ images: Range<Int>, _ sums: UnsafeMutablePointer<Double>) -> Void
  ) throws -> UnsafeMutablePointer<Double> {
    guard let partials = partials.baseAddress, let totals = totals.baseAddress, self.totals.count >= count else {
      preconditionFailure("sums that were not reserved")
    }
    try team.run(shards.count) { shard, _ in
      let sums = partials + shard * count
      sums.update(repeating: 0, count: count)
      add(shards[shard], sums)
    }
    try reduction.allReduce(partials, valuesPerShard: count, into: totals)
    return totals
  }

  /// Adds up the gradient of a layer's weights over this rank's shards, into its nodes of the tree.
  func addWeightGradient(
    of shape: ConvolutionShape, at offset: Int, x: FeatureMap, dy: FeatureMap
  ) throws {
    let stride = parameters.weights.count
    let gradient = parameters.weightGradients + offset
    try engine.weightGradient(shape, shards: shards, x: x, dy: dy) { block, thread, partial in
      try accumulator.accumulate(block, scratch: blocks[thread].pointer, into: gradient, stride: stride) {
        shard, output in try partial(shard - firstShard, output)
      }
    }
  }

  /// Runs `body` on equal parts of this rank's images.
  package func forImageParts(_ body: (_ images: Range<Int>) -> Void) throws {
    let parts = min(images, team.count)
    try team.run(parts) { part, _ in body(evenRange(part, of: parts, count: images)) }
  }
}
