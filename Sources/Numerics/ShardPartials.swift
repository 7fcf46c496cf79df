/// Weight gradients shard by shard: every shard's partial sum as a whole first, then the sums over shards in blocks. For engines and layers
/// where a shard's gradient is best computed in one go.
final class ShardPartials {
  private let team: ThreadTeam
  private let memory = FloatBuffer()

  static let block = 1 << 14

  init(team: ThreadTeam) { self.team = team }

  func reserve(weightCount: Int, shards: Int) { memory.grow(to: weightCount * shards) }

  /// - Parameters:
  ///   - blocks: how many blocks a shard's partial sum is computed in.
  ///   - sum: as in ``ConvolutionEngine/weightGradient(_:shards:x:dy:sum:)``.
  ///   - compute: writes a block of the partial sum of a shard that has images.
  func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], blocks: Int = 1,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void,
    compute: (_ images: Range<Int>, _ block: Int, _ thread: Int, _ output: UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    let (memory, count) = (memory.pointer, shape.weightCount)
    try team.run(shards.count * blocks) { item, thread in
      let shard = item / blocks
      if !shards[shard].isEmpty { try compute(shards[shard], item % blocks, thread, memory + shard * count) }
    }
    try team.run(parts(of: count, size: Self.block)) { index, thread in
      let block = index * Self.block..<min((index + 1) * Self.block, count)
      try sum(WeightBlock(block), thread) { shard, output in
        if shards[shard].isEmpty {
          output.update(repeating: 0, count: block.count)
        } else {
          output.update(from: memory + shard * count + block.lowerBound, count: block.count)
        }
      }
    }
  }
}
