import CVectorKernels

/// Computes the three passes of a convolution on the threads of a rank.
///
/// ``VectorEngine`` is the fast one, ``MatrixProductEngine`` on OpenBLAS the plain one that it is compared with. In both an image's result depends on that image alone, not on its company, nor on the number of threads: so a rank's bits do not depend on how
/// many images it has.
public protocol ConvolutionEngine: AnyObject, Sendable {
  var team: ThreadTeam { get }
  /// What computes: the library and the instructions that it uses.
  var name: String { get }

  /// Makes room for a shape's passes over at most `images` images in `shards` shards, so that they need not allocate. Without a shard that is the
  /// forward pass with frozen weights alone.
  func reserve(_ shape: ConvolutionShape, images: Int, shards: Int)

  /// Computes y `[images][output height][output width][output channels]`.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>) throws

  /// Brings weights that stay as they are into the form that the engine's forward pass wants.
  /// - Parameter images: how many there will be at a time, at most: that decides which form is worth its memory, and no bit.
  func freeze(_ weights: [Float], of shape: ConvolutionShape, images: Int) throws -> FrozenWeights

  /// Computes y with frozen weights, and what follows the convolution.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: FrozenWeights, ending: Ending,
    into y: UnsafeMutablePointer<Float>) throws

  /// Computes dx, the gradient of x, from dy, the gradient of y.
  /// - Parameters:
  ///   - channels: so many of x's channels, from the first on, whose gradient is needed; what the others get is of no meaning.
  ///   - adding: whether it is added to what dx has.
  func inputGradient(
    _ shape: ConvolutionShape, images: Int, channels: Int, dy: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    adding: Bool, into dx: UnsafeMutablePointer<Float>) throws

  /// Computes the weights' gradient as one partial sum for each shard, in blocks.
  /// - Parameters:
  ///   - shards: the images of each shard.
  ///   - sum: called for every block of the weights, on any thread; it calls `partial` once for every shard, in order, and adds what that gives.
  func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
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

/// What a convolution's output goes through at the end.
public enum Activation: Sendable {
  case linear
  case relu
  /// min(ReLU(y), 6)
  case relu6

  var code: Int32 {
    switch self {
    case .linear: Int32(RD_LINEAR)
    case .relu: Int32(RD_RELU)
    case .relu6: Int32(RD_RELU6)
    }
  }
}

/// What follows a convolution with frozen weights: a bias is added, a residual where there is one, and the activation comes last.
public struct Ending {
  let bias: UnsafePointer<Float>
  /// Lies as the output does.
  let residual: UnsafePointer<Float>?
  let activation: Activation

  public init(bias: UnsafePointer<Float>, residual: UnsafePointer<Float>?, activation: Activation) {
    self.bias = bias
    self.residual = residual
    self.activation = activation
  }

  /// Finishes some pixels and channels of y.
  func finish(
    _ y: UnsafeMutablePointer<Float>, stride: Int, pixels: Range<Int>, channels: Range<Int>, outputChannels: Int
  ) {
    rd_add_bias(
      y, stride, bias + channels.lowerBound,
      residual.map { $0 + pixels.lowerBound * outputChannels + channels.lowerBound }, outputChannels, activation.code,
      pixels.count, channels.count)
  }
}

extension ConvolutionEngine {
  public func freeze(_ weights: [Float], of shape: ConvolutionShape, images: Int) throws -> FrozenWeights {
    FrozenWeights(plain: weights)
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: FrozenWeights, ending: Ending,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    try forward(shape, images: images, x: x, weights: UnsafePointer(weights.buffer.pointer), into: y)
    let channels = shape.outputChannels
    try team.run(team.count) { part, _ in
      let pixels = evenRange(part, of: team.count, count: images * shape.outputPixels)
      ending.finish(
        y + pixels.lowerBound * channels, stride: channels, pixels: pixels, channels: 0..<channels,
        outputChannels: channels)
    }
  }
}

/// Gives one shard's partial sum of a block, densely: in `room`, or where it is.
public typealias ShardPartial = (_ shard: Int, _ room: UnsafeMutablePointer<Float>) throws -> UnsafePointer<Float>

/// Part `part` of `0 ..< count` in `parts` nearly equal ranges.
public func evenRange(_ part: Int, of parts: Int, count: Int) -> Range<Int> {
  count * part / parts..<count * (part + 1) / parts
}

/// How many parts of at most `size` make up `count`.
func parts(of count: Int, size: Int) -> Int { (count + size - 1) / size }
