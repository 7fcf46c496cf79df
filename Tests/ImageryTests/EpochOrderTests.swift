import Testing

@testable import Imagery

@Suite struct EpochOrderTests {
  /// Numbers of images, shards and images a batch; among them fewer images than shards, and batches smaller than the shards.
  static let cases = [
    (50, 8, 16), (50, 4, 16), (16, 16, 16), (17, 5, 3), (3, 8, 16), (1, 1, 1), (30, 16, 4), (209, 16, 16), (7, 3, 100),
  ]

  private func order(_ example: (images: Int, shards: Int, batchSize: Int), seed: UInt64 = 1) -> EpochOrder {
    EpochOrder(images: example.images, shards: example.shards, batchSize: example.batchSize, seed: seed)
  }

  /// The images of a step, by shard.
  private func images(_ order: EpochOrder, step: Int) -> [[Int]] {
    (0..<order.shards).map { shard in
      let all = order.order(ofShard: shard, epoch: step / order.stepsPerEpoch)
      return Array(all[order.places(ofStep: step, shard: shard)])
    }
  }

  @Test(arguments: cases)
  func everyImageIsTakenOnceAnEpoch(example: (Int, Int, Int)) {
    let order = order(example)
    for epoch in 0..<3 {
      let steps = epoch * order.stepsPerEpoch..<(epoch + 1) * order.stepsPerEpoch
      let taken = steps.flatMap { images(order, step: $0).flatMap { $0 } }
      #expect(taken.sorted() == Array(0..<order.images))
    }
  }

  @Test(arguments: cases)
  func batchesAreFullButForTheLast(example: (Int, Int, Int)) {
    let order = order(example)
    for step in 0..<2 * order.stepsPerEpoch {
      let counts = images(order, step: step).map(\.count)
      #expect(counts.reduce(0, +) == order.batch(ofStep: step))
      let isLast = step % order.stepsPerEpoch == order.stepsPerEpoch - 1
      #expect(
        isLast
          ? (1...order.batchSize).contains(order.batch(ofStep: step)) : order.batch(ofStep: step) == order.batchSize)
      // No shard has more than its share, which is what memory is reserved for.
      #expect(counts.allSatisfy { $0 <= (order.batchSize + order.shards - 1) / order.shards })
      if !isLast { #expect(counts.max()! - counts.min()! <= 1) }
    }
  }

  @Test func fiftyImagesMakeThreeFullBatchesAndTwoImages() {
    let order = order((50, 8, 16))
    #expect(order.stepsPerEpoch == 4)
    #expect((0..<8).map { order.batch(ofStep: $0) } == [16, 16, 16, 2, 16, 16, 16, 2])
  }

  @Test(arguments: cases)
  func aShardKeepsItsImages(example: (Int, Int, Int)) {
    let order = order(example)
    for shard in 0..<order.shards {
      let images = order.order(ofShard: shard, epoch: 0)
      for epoch in 1..<4 { #expect(Set(order.order(ofShard: shard, epoch: epoch)) == Set(images)) }
      #expect(Set(images) == Set(stride(from: shard, to: order.images, by: order.shards).map { order.dealt[$0] }))
    }
  }

  @Test func epochsShardsAndSeedsDiffer() {
    let order = order((200, 4, 16))
    #expect(order.order(ofShard: 0, epoch: 0) != order.order(ofShard: 0, epoch: 1))
    #expect(order.dealt != self.order((200, 4, 16), seed: 2).dealt)
    // Where the shards' permutations were the same, these were too.
    let places = (0..<4).map { shard in
      let images = stride(from: shard, to: 200, by: 4).map { order.dealt[$0] }
      return order.order(ofShard: shard, epoch: 0).map { images.firstIndex(of: $0)! }
    }
    #expect(Set(places).count == 4)
  }

  @Test func theOrderIsAFunctionOfTheSeed() {
    let (first, second) = (order((50, 8, 16)), order((50, 8, 16)))
    #expect(first.dealt == second.dealt)
    #expect((0..<12).allSatisfy { images(first, step: $0) == images(second, step: $0) })
  }

  /// The order is part of what a checkpoint goes on with: another compiler or library must not change it.
  @Test func theOrderIsForEver() {
    let order = EpochOrder(images: 20, shards: 4, batchSize: 8, seed: 111)
    #expect(order.dealt == [0, 12, 6, 15, 7, 18, 2, 10, 8, 5, 4, 11, 17, 19, 3, 13, 14, 16, 1, 9])
    #expect(order.order(ofShard: 2, epoch: 3) == [4, 3, 2, 1, 6])
  }
}
