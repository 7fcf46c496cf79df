import Collectives
import Numerics

extension ShardAccumulator {
  /// Room for the sums over shards of blocks of `count` weights.
  package func room(forBlocksOf count: Int) -> Int { count * (scratchBuffers + nodes.count) }

  /// Adds up a block of weights over shards, to its places among each node's weights.
  /// - Parameters:
  ///   - scratch: as ``room(forBlocksOf:)`` says.
  ///   - stride: the distance between two nodes' weights.
  package func accumulate(
    _ block: WeightBlock, scratch: UnsafeMutablePointer<Float>, into weights: UnsafeMutablePointer<Float>, stride: Int,
    partial: ShardPartial
  ) throws {
    let count = block.count
    if block.isContiguous {
      return try accumulate(
        count: count, scratch: scratch, into: weights + block.start, stride: stride, partial: partial)
    }
    let sums = scratch + scratchBuffers * count
    try accumulate(count: count, scratch: scratch, into: sums, stride: count, partial: partial)
    for node in nodes.indices { block.scatter(sums + node * count, to: weights + node * stride) }
  }
}
