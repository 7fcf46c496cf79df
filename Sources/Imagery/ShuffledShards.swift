/// The shuffled images of some shards, epoch by epoch.
package struct ShuffledShards {
  private let order: EpochOrder
  private let shards: Range<Int>
  private var epoch = -1
  private var images: [[Int]] = []

  package init(_ order: EpochOrder, shards: Range<Int>) {
    self.order = order
    self.shards = shards
  }

  /// The images of each shard in a step.
  package mutating func images(ofStep step: Int) -> [[Int]] {
    if step / order.stepsPerEpoch != epoch {
      epoch = step / order.stepsPerEpoch
      images = shards.map { order.order(ofShard: $0, epoch: epoch) }
    }
    return zip(shards, images).map { shard, images in Array(images[order.places(ofStep: step, shard: shard)]) }
  }
}
