import CVectorKernels

/// Adds the partial results of one rank's shards in tree order, as they are computed.
///
/// A tree has few levels, so the partials need not all be kept: besides the result there is one buffer a level.
public struct ShardAccumulator: Sendable {
  /// The rank's nodes: what ``accumulate(count:scratch:into:stride:partial:)`` makes.
  public let nodes: [ShardTree.Node]
  /// How many times `count` elements of scratch are needed.
  public let scratchBuffers: Int

  public init(tree: ShardTree, rank: Int) {
    nodes = tree.nodes(of: rank)
    scratchBuffers = nodes.map(\.level).max() ?? 0
  }

  /// Adds the shards' partial results up to the rank's nodes.
  ///
  /// Allocates nothing. Several threads may call it at once, each with its own scratch and its own elements of the nodes.
  /// - Parameters:
  ///   - count: the elements of a partial result.
  ///   - scratch: `scratchBuffers * count` elements.
  ///   - result: for each node, `count` elements; they need no initial value.
  ///   - stride: the distance between two nodes in `result`, in elements.
  ///   - partial: gives all `count` elements of a shard's partial result, in `room` or where they are. It is called once for each shard of the
  ///     rank, in order.
  public func accumulate(
    count: Int, scratch: UnsafeMutablePointer<Float>, into result: UnsafeMutablePointer<Float>, stride: Int,
    partial: (_ shard: Int, _ room: UnsafeMutablePointer<Float>) throws -> UnsafePointer<Float>
  ) rethrows {
    for index in nodes.indices {
      let target = result + index * stride
      let sum = try sum(
        level: nodes[index].level, shards: nodes[index].shards, count: count, room: target, scratch: scratch,
        partial: partial)
      copy(sum, to: target, count: count)
    }
  }

  /// - Returns: where the sum is: in `room`, or where a single shard's partial result is.
  private func sum(
    level: Int, shards: Range<Int>, count: Int, room: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>,
    partial: (_ shard: Int, _ room: UnsafeMutablePointer<Float>) throws -> UnsafePointer<Float>
  ) rethrows -> UnsafePointer<Float> {
    if shards.count == 1 { return try partial(shards.lowerBound, room) }
    let middle = min(shards.lowerBound + 1 << (level - 1), shards.upperBound)
    let left = try sum(
      level: level - 1, shards: shards.lowerBound..<middle, count: count, room: room, scratch: scratch,
      partial: partial)
    guard middle < shards.upperBound else { return left }
    // The left half is done with its scratch; the right half has one buffer less, and needs one less.
    let right = try sum(
      level: level - 1, shards: middle..<shards.upperBound, count: count, room: scratch, scratch: scratch + count,
      partial: partial)
    rd_sum(left, right, room, count)
    return UnsafePointer(room)
  }
}

/// Not to be inlined, for the reason that ``ShardReduction`` gives for its own.
@inline(never)
private func copy(_ values: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, count: Int) {
  if values != UnsafePointer(target) { target.update(from: values, count: count) }
}
