/// Weight gradients shard by shard: every shard's partial sum as a whole first, then the sums over shards in blocks. For engines and layers
/// where a shard's gradient is best computed in one go.
final class ShardPartials {
  private let team: ThreadTeam
  private let memory = FloatBuffer()

  static let block = 1 << 14

  init(team: ThreadTeam) { self.team = team }

  func reserve(weightCount: Int, shards: Int) { memory.grow(to: weightCount * shards) }

  /// - Parameters:
  ///   - sum: as in ``ConvolutionEngine/weightGradient(_:shards:x:dy:sum:)``.
  ///   - compute: writes the partial sum of a shard that has images.
  func weightGradient(
    count: Int, shards: [Range<Int>],
    sum: (_ block: Range<Int>, _ thread: Int, _ partial: ShardPartial) throws -> Void,
    compute: (_ images: Range<Int>, _ thread: Int, _ output: UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    let memory = memory.pointer
    try team.run(shards.count) { shard, thread in
      if !shards[shard].isEmpty { try compute(shards[shard], thread, memory + shard * count) }
    }
    try team.run((count + Self.block - 1) / Self.block) { index, thread in
      let block = index * Self.block..<min((index + 1) * Self.block, count)
      try sum(block, thread) { shard, output in
        if shards[shard].isEmpty {
          output.update(repeating: 0, count: block.count)
        } else {
          output.update(from: memory + shard * count + block.lowerBound, count: block.count)
        }
      }
    }
  }
}
