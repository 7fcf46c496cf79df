/// Sums of a few values over all shards, on every rank: batch-norm statistics, losses.
///
/// One rank has one of these and calls it from one thread at a time. Its scratch grows to the largest call and is then reused.
public final class ShardReduction {
  private let tree: ShardTree
  private let communicator: any Communicator
  private let additionsToNodes: [ShardTree.Addition]
  /// The first shard of each of this rank's nodes, counted from the rank's first.
  private let nodeShards: [Int]
  private let nodeCounts: [Int]
  private var byteCounts: [Int]
  private var shardValues = Scratch<Double>()
  private var nodeValues = Scratch<Double>()

  public init(tree: ShardTree, over communicator: any Communicator) {
    precondition(tree.ranks == communicator.size)
    let rank = communicator.rank
    let firstShard = tree.shards(of: rank).lowerBound
    self.tree = tree
    self.communicator = communicator
    additionsToNodes = tree.additionsToNodes(of: rank)
    nodeShards = tree.nodes(of: rank).map { $0.shards.lowerBound - firstShard }
    nodeCounts = (0..<tree.ranks).map { tree.nodes(of: $0).count }
    byteCounts = nodeCounts
  }

  /// Adds the partial sums of all shards in the tree's order. Collective.
  /// - Parameters:
  ///   - partials: this rank's shards x `valuesPerShard`.
  ///   - valuesPerShard: the same on every rank.
  ///   - total: `valuesPerShard` sums, the same bits on every rank and for every number of ranks.
  /// - Throws: `Failure(.communication)`.
  public func allReduce(
    _ partials: UnsafePointer<Double>, valuesPerShard count: Int, into total: UnsafeMutablePointer<Double>
  ) throws {
    let rank = communicator.rank
    let ownShards = tree.shards(of: rank).count
    let shardValues = shardValues.room(for: ownShards * count)
    shardValues.update(from: partials, count: ownShards * count)
    for addition in additionsToNodes {
      add(shardValues + addition.source * count, to: shardValues + addition.target * count, count: count)
    }
    guard tree.ranks > 1 else {
      copy(shardValues, to: total, count: count)
      return
    }

    let nodeCount = tree.nodeCount
    let nodeValues = nodeValues.room(for: nodeCount * count)
    let own = nodeValues + nodeCounts[..<rank].reduce(0, +) * count
    for (index, shard) in nodeShards.enumerated() {
      (own + index * count).update(from: shardValues + shard * count, count: count)
    }
    for index in nodeCounts.indices { byteCounts[index] = nodeCounts[index] * count * MemoryLayout<Double>.stride }
    try communicator.allGather(
      UnsafeRawBufferPointer(start: own, count: byteCounts[rank]),
      into: UnsafeMutableRawBufferPointer(start: nodeValues, count: nodeCount * count * MemoryLayout<Double>.stride),
      counts: byteCounts)
    for addition in tree.additionsToRoot {
      add(nodeValues + addition.source * count, to: nodeValues + addition.target * count, count: count)
    }
    copy(nodeValues, to: total, count: count)
  }
}

/// `target += source`, value by value.
private func add(_ source: UnsafePointer<Double>, to target: UnsafeMutablePointer<Double>, count: Int) {
  for index in 0..<count { target[index] += source[index] }
}

/// Not to be inlined: where a throwing function ends in a copy, Swift 6.0's compiler makes that a jump to memmove and leaves in the error's
/// register whatever lay there, which the caller takes for a thrown error.
@inline(never)
private func copy(_ values: UnsafePointer<Double>, to copy: UnsafeMutablePointer<Double>, count: Int) {
  copy.update(from: values, count: count)
}
