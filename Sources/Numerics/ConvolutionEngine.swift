/// Computes the three passes of a convolution on the threads of a rank.
///
/// ``VectorEngine`` is the fast one, ``MatrixProductEngine`` on OpenBLAS the plain one that it is compared with. In both an image's result depends on that image alone, not on its company, nor on the number of threads: so a rank's bits do not depend on how
/// many images it has.
public protocol ConvolutionEngine: AnyObject, Sendable {
  var team: ThreadTeam { get }
  /// What computes: the library and the instructions that it uses.
  var name: String { get }
  /// What factors are rounded to, and feature maps may be stored in. Sums are in single precision.
  var precision: Precision { get }

  /// Makes room for a shape's passes over at most `images` images in `shards` shards, so that they need not allocate. Without a shard that is the
  /// forward pass with frozen weights alone.
  func reserve(_ shape: ConvolutionShape, images: Int, shards: Int)

  /// Computes y `[images][output height][output width][output channels]`.
  /// - Parameter stored: how y is; in bf16 its channels are even in number.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: FeatureMap, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>, stored: Precision) throws

  /// Brings weights that stay as they are into the form that the engine's forward pass wants.
  /// - Parameter images: how many there will be at a time, at most: that decides which form is worth its memory, and no bit.
  func freeze(_ weights: [Float], of shape: ConvolutionShape, images: Int) throws -> FrozenWeights

  /// Computes y with frozen weights, and what follows the convolution.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: FrozenWeights, epilogue: Epilogue,
    into y: UnsafeMutablePointer<Float>) throws

  /// Computes dx, the gradient of x, from dy, the gradient of y.
  /// - Parameters:
  ///   - channels: so many of x's channels, from the first on, whose gradient is needed; what the others get is of no meaning.
  ///   - adding: whether it is added to what dx has, in single precision.
  ///   - stored: how dx is; in bf16 its channels are even in number, and the gradient is needed of all.
  func inputGradient(
    _ shape: ConvolutionShape, images: Int, channels: Int, dy: FeatureMap, weights: UnsafePointer<Float>,
    adding: Bool, into dx: UnsafeMutablePointer<Float>, stored: Precision) throws

  /// Computes the weights' gradient as one partial sum for each shard, in blocks.
  /// - Parameters:
  ///   - shards: the images of each shard.
  ///   - sum: called for every block of the weights, on any thread; it calls `partial` once for every shard, in order, and adds what that gives.
  func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: FeatureMap, dy: FeatureMap,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void) throws

  /// The largest block that `weightGradient` hands out, in elements.
  func largestBlock(_ shape: ConvolutionShape) -> Int
}

/// Weights in the form that one engine gave them.
public struct FrozenWeights: Sendable {
  let buffer: FloatBuffer
  var form = WeightForm.plain

  init(buffer: FloatBuffer, form: WeightForm = .plain) {
    self.buffer = buffer
    self.form = form
  }

  /// Weights as they are.
  public init(plain weights: [Float]) { self.init(buffer: FloatBuffer(weights)) }

  public var plain: UnsafePointer<Float> { UnsafePointer(buffer.pointer) }
}

/// What weights look like to Winograd's products.
enum WeightForm {
  /// `[3][3][input channels][output channels]`
  case plain
  /// The same, block by block of input and output channels.
  case blocked
  /// The planes of all input and output channels.
  case transformed
}

/// Gives one shard's partial sum of a block, densely: in `room`, or where it is.
public typealias ShardPartial = (_ shard: Int, _ room: UnsafeMutablePointer<Float>) throws -> UnsafePointer<Float>
