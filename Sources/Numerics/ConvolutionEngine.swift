/// Computes the three passes of a convolution on the threads of a rank.
///
/// Two engines exist: ``MatrixProductEngine`` on OpenBLAS and ``DirectEngine`` on oneDNN. In both an image's result depends on that image
/// alone, not on its company, nor on the number of threads: so a rank's bits do not depend on how many images it has.
public protocol ConvolutionEngine: AnyObject, Sendable {
  var team: ThreadTeam { get }

  /// Makes room for a shape's passes over at most `images` images in `shards` shards, so that they need not allocate.
  func reserve(_ shape: ConvolutionShape, images: Int, shards: Int)

  /// Computes y `[images][output height][output width][output channels]`.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>) throws

  /// Computes dx, the gradient of x, from dy, the gradient of y.
  func inputGradient(
    _ shape: ConvolutionShape, images: Int, dy: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>) throws

  /// Computes the weights' gradient as one partial sum for each shard, in blocks.
  /// - Parameters:
  ///   - shards: the images of each shard.
  ///   - sum: called for every block of the weights, on any thread, with the block's elements; it calls `partial` once for every shard, in
  ///     order, and adds what that writes.
  func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    sum: (_ block: Range<Int>, _ thread: Int, _ partial: ShardPartial) throws -> Void) throws

  /// The largest block that `weightGradient` hands out, in elements.
  func largestBlock(_ shape: ConvolutionShape) -> Int
}

/// Writes one shard's partial sum of a block.
public typealias ShardPartial = (_ shard: Int, _ output: UnsafeMutablePointer<Float>) throws -> Void

/// Part `part` of `0 ..< count` in `parts` nearly equal ranges.
public func evenRange(_ part: Int, of parts: Int, count: Int) -> Range<Int> {
  count * part / parts..<count * (part + 1) / parts
}
