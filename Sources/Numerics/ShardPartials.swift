/// Weight gradients for which a shard's partial sum of a block is best computed in one go: a few blocks at a time, first every shard's partial sums of
/// them, then the sums over shards, while all of it is in a cache.
final class ShardPartials {
  private let team: ThreadTeam
  private let memory = FloatBuffer()

  init(team: ThreadTeam) { self.team = team }

  /// Makes room for blocks of at most `count` weights.
  func reserve(_ count: Int, shards: Int) { memory.grow(to: blocksAtATime(shards) * shards * count) }

  /// So many that every thread has work.
  private func blocksAtATime(_ shards: Int) -> Int { parts(of: 2 * team.count, size: shards) }

  /// The parts that a block's sums are shared out in.
  private var split: Int { 4 * team.count }

  /// The largest part of a block.
  func largestPart(of block: WeightBlock) -> Int {
    (0..<split).reduce(0) { max($0, block.part($1, of: split).block.count) }
  }

  /// - Parameters:
  ///   - blocks: how many blocks there are.
  ///   - block: the places of one.
  ///   - sum: as in ``ConvolutionEngine/weightGradient(_:shards:x:dy:sum:)``.
  ///   - compute: writes the partial sum of a block over a shard that has images, densely.
  func weightGradient(
    shards: [Range<Int>], blocks: Int, block: (_ item: Int) -> WeightBlock,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void,
    compute: (_ images: Range<Int>, _ item: Int, _ thread: Int, _ output: UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    let some = blocksAtATime(shards.count)
    for first in stride(from: 0, to: blocks, by: some) {
      let own = min(some, blocks - first)
      let size = (0..<own).reduce(0) { max($0, block(first + $1).count) }
      func place(_ item: Int, _ shard: Int) -> UnsafeMutablePointer<Float> {
        memory.pointer + (item * shards.count + shard) * size
      }
      try team.run(own * shards.count) { index, thread in
        let (item, shard) = (index / shards.count, index % shards.count)
        if !shards[shard].isEmpty { try compute(shards[shard], first + item, thread, place(item, shard)) }
      }
      try team.run(own * split) { index, thread in
        let item = index / split
        let (part, offset) = block(first + item).part(index % split, of: split)
        if part.count == 0 { return }
        try sum(part, thread) { shard, room in
          if !shards[shard].isEmpty { return UnsafePointer(place(item, shard) + offset) }
          room.update(repeating: 0, count: part.count)
          return UnsafePointer(room)
        }
      }
    }
  }
}
