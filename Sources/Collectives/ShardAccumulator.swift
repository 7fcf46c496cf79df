/// Adds the partial results of one rank's shards in tree order, as they are computed.
///
/// A tree has few levels, so the partials need not all be kept: besides the result there is one buffer a level.
public struct ShardAccumulator: Sendable {
  /// The rank's nodes: what ``accumulate(count:scratch:into:stride:partial:)`` makes.
  public let nodes: [ShardTree.Node]

  public init(tree: ShardTree, rank: Int) {
    nodes = tree.nodes(of: rank)
  }

  /// How many times `count` elements of scratch are needed.
  public var scratchBuffers: Int { nodes.map(\.level).max() ?? 0 }

  /// Adds the shards' partial results up to the rank's nodes.
  ///
  /// Allocates nothing. Several threads may call it at once, each with its own scratch and its own elements of the nodes.
  /// - Parameters:
  ///   - count: the elements of a partial result.
  ///   - scratch: `scratchBuffers * count` elements.
  ///   - result: for each node, `count` elements; they need no initial value.
  ///   - stride: the distance between two nodes in `result`, in elements.
  ///   - partial: writes all `count` elements of a shard's partial result. It is called once for each shard of the rank, in order.
  public func accumulate(
    count: Int, scratch: UnsafeMutablePointer<Float>, into result: UnsafeMutablePointer<Float>, stride: Int,
    partial: (_ shard: Int, _ output: UnsafeMutablePointer<Float>) throws -> Void
  ) rethrows {
    for index in nodes.indices {
      try sum(
        level: nodes[index].level, shards: nodes[index].shards, count: count, scratch: scratch,
        into: result + index * stride, partial: partial)
    }
  }

  private func sum(
    level: Int, shards: Range<Int>, count: Int, scratch: UnsafeMutablePointer<Float>,
    into result: UnsafeMutablePointer<Float>, partial: (Int, UnsafeMutablePointer<Float>) throws -> Void
  ) rethrows {
    if shards.count == 1 { return try partial(shards.lowerBound, result) }
    let middle = min(shards.lowerBound + 1 << (level - 1), shards.upperBound)
    try sum(
      level: level - 1, shards: shards.lowerBound..<middle, count: count, scratch: scratch, into: result,
      partial: partial)
    guard middle < shards.upperBound else { return }
    // The left half is done with its scratch; the right half has one buffer less, and needs one less.
    try sum(
      level: level - 1, shards: middle..<shards.upperBound, count: count, scratch: scratch + count, into: scratch,
      partial: partial)
    add(scratch, to: result, count: count)
  }
}
