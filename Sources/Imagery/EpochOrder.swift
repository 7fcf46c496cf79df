import RandomStreams

/// Which images make up which step, and which logical shard they belong to.
///
/// The images are dealt out to the shards once, by a seeded permutation; a shard keeps its images for the whole run and reshuffles them
/// every epoch with a stream of its own. Position p of an epoch is the next image of shard p mod S, and a step takes the next B positions:
/// B / S images of every shard, or one more of some where that is no whole number.
public struct EpochOrder: Sendable {
  public let images: Int
  public let shards: Int
  public let batchSize: Int
  private let seed: UInt64
  /// The images in the order in which they were dealt out: number i went to shard i mod S.
  public let dealt: [Int]

  public init(images: Int, shards: Int, batchSize: Int, seed: UInt64) {
    self.images = images
    self.shards = shards
    self.batchSize = batchSize
    self.seed = seed
    var random = SplitMix64(seed, name: "shards")
    dealt = random.shuffled(Array(0..<images))
  }

  public var stepsPerEpoch: Int { (images + batchSize - 1) / batchSize }

  /// The images of a shard, in the order in which an epoch takes them.
  public func order(ofShard shard: Int, epoch: Int) -> [Int] {
    var random = SplitMix64(seed, UInt64(shard), UInt64(epoch))
    return random.shuffled(stride(from: shard, to: images, by: shards).map { dealt[$0] })
  }

  /// The images of all shards in a step, counted from 0 over the whole run.
  public func batch(ofStep step: Int) -> Int { positions(ofStep: step).count }

  /// The places in a shard's order that a step takes.
  public func places(ofStep step: Int, shard: Int) -> Range<Int> {
    let positions = positions(ofStep: step)
    /// The positions of this shard before `end`.
    func count(before end: Int) -> Int { max(end - shard + shards - 1, 0) / shards }
    return count(before: positions.lowerBound)..<count(before: positions.upperBound)
  }

  private func positions(ofStep step: Int) -> Range<Int> {
    let first = step % stepsPerEpoch * batchSize
    return first..<min(first + batchSize, images)
  }
}
