import CVectorKernels

/// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): 36 small matrix products in the place of one large one, with a quarter of its
/// multiplications (A. Lavin, S. Gray, CVPR 2016).
final class WinogradConvolution {
  private let team: ThreadTeam
  /// The weights, transformed: 36 matrices, input channels x output channels.
  private let weights = FloatBuffer()
  /// For small maps the tiles of all images, for large ones a part of an image's for each thread.
  private let inputs: [FloatBuffer]
  private let outputs: [FloatBuffer]
  // Of a weight gradient.
  private let products: [FloatBuffer]
  private let partials: ShardPartials

  init(team: ThreadTeam) {
    self.team = team
    products = (0..<team.count).map { _ in FloatBuffer() }
    partials = ShardPartials(team: team)
    inputs = (0..<team.count).map { _ in FloatBuffer() }
    outputs = (0..<team.count).map { _ in FloatBuffer() }
  }

  /// Whether a shape goes this way.
  static func applies(to shape: ConvolutionShape) -> Bool {
    !shape.isTransposed && shape.kernel == 3 && shape.stride == 1
      && min(shape.inputChannels, shape.outputChannels) >= 32
  }

  func reserve(_ shape: ConvolutionShape, images: Int) {
    weights.grow(to: 36 * shape.inputChannels * shape.outputChannels)
    let tiles = Tiles(shape)
    let channels = max(shape.inputChannels, shape.outputChannels)
    if tiles.areOfOneImage {
      for buffer in inputs + outputs { buffer.grow(to: 36 * (tiles.perBlock + 1) * channels) }
    } else {
      let rows = tiles.paddedRows(images: images)
      for buffer in [inputs[0], outputs[0]] { buffer.grow(to: 36 * rows * channels) }
    }
  }

  // MARK: Weight gradient

  /// Whether a shape's weight gradient goes this way: maps large enough that the products over a shard's tiles are worth their transforms.
  static func appliesToWeightGradient(of shape: ConvolutionShape) -> Bool {
    applies(to: shape) && Tiles(shape).perImage >= 16
  }

  func reserveWeightGradient(_ shape: ConvolutionShape, shards: Int) {
    let tiles = Tiles.wanted
    for thread in inputs.indices {
      inputs[thread].grow(to: 36 * tiles * shape.inputChannels)
      outputs[thread].grow(to: 36 * tiles * shape.outputChannels)
      products[thread].grow(to: 36 * shape.inputChannels * shape.outputChannels)
    }
    partials.reserve(weightCount: shape.weightCount, shards: shards)
  }

  func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    sum: (_ block: Range<Int>, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    let (input, output, height, width) = (
      shape.inputChannels, shape.outputChannels, shape.inputHeight, shape.inputWidth
    )
    let tiles = Tiles(shape)
    try partials.weightGradient(count: shape.weightCount, shards: shards, sum: sum) { images, thread, partial in
      let (v, d, products) = (inputs[thread].pointer, outputs[thread].pointer, products[thread].pointer)
      let own = images.lowerBound * tiles.perImage..<images.upperBound * tiles.perImage
      for first in stride(from: own.lowerBound, to: own.upperBound, by: Tiles.wanted) {
        let rows = min(Tiles.wanted, own.upperBound - first)
        rd_winograd_input(x, height, width, input, first, rows, v, rows * input)
        rd_winograd_output_adjoint(dy, height, width, output, first, rows, d, rows * output)
        for plane in 0..<36 {
          multiply(
            Matrix(start: v + plane * rows * input, stride: input, isTransposed: true),
            Matrix(start: d + plane * rows * output, stride: output), rows: input, columns: output, depth: rows,
            into: products + plane * input * output, stride: output, adding: first > own.lowerBound)
        }
      }
      rd_winograd_weights_adjoint(products, input * output, partial)
    }
  }

  // MARK: Forward

  /// Computes y from x `[images][height][width][input channels]` and weights `[3][3][input channels][output channels]`.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    try convolve(
      Pass(shape: shape, input: shape.inputChannels, output: shape.outputChannels, weightsAreTransposed: false),
      images: images, x: x, weights: weights, into: y)
  }

  /// Computes dx from dy: a convolution with the weights turned by half a turn, input and output channels exchanged.
  func inputGradient(
    _ shape: ConvolutionShape, images: Int, dy: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>
  ) throws {
    try convolve(
      Pass(shape: shape, input: shape.outputChannels, output: shape.inputChannels, weightsAreTransposed: true),
      images: images, x: dy, weights: weights, into: dx)
  }

  /// A convolution from `input` to `output` channels over maps of one size.
  private struct Pass {
    let shape: ConvolutionShape
    let input: Int
    let output: Int
    /// Whether the weights lie output channels x input channels.
    let weightsAreTransposed: Bool

    var height: Int { shape.inputHeight }
    var width: Int { shape.inputWidth }
    var pixels: Int { shape.inputPixels }
  }

  private func convolve(
    _ pass: Pass, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    let plane = pass.input * pass.output
    let transformed = self.weights.pointer
    let parts = team.count
    try team.run(parts) { part, _ in
      let range = evenRange(part, of: parts, count: plane)
      rd_winograd_weights(
        weights, plane, pass.weightsAreTransposed ? 1 : 0, range.lowerBound, range.count, transformed)
    }
    if Tiles(pass.shape).areOfOneImage {
      try convolveBlocks(pass, images: images, x: x, into: y)
    } else {
      try convolvePlanes(pass, images: images, x: x, into: y)
    }
  }

  /// Large maps: a part of an image at a time goes all the way, and stays in the core's cache.
  private func convolveBlocks(
    _ pass: Pass, images: Int, x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) throws {
    let tiles = Tiles(pass.shape)
    let (input, output) = (pass.input, pass.output)
    try team.run(images * tiles.blocksPerImage) { item, thread in
      let image = item / tiles.blocksPerImage
      let range = evenRange(item % tiles.blocksPerImage, of: tiles.blocksPerImage, count: tiles.perImage)
      let (v, m) = (inputs[thread].pointer, outputs[thread].pointer)
      let rows = range.count
      rd_winograd_input(
        x + image * pass.pixels * input, pass.height, pass.width, input, range.lowerBound, rows, v, rows * input)
      for plane in 0..<36 { multiplyPlane(plane, pass, rows: rows, v: v, m: m) }
      rd_winograd_output(
        m, rows * output, pass.height, pass.width, output, range.lowerBound, rows, y + image * pass.pixels * output)
    }
  }

  /// Small maps: all images' tiles together, so that the products are large enough.
  private func convolvePlanes(
    _ pass: Pass, images: Int, x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) throws {
    let tiles = Tiles(pass.shape)
    let (input, output) = (pass.input, pass.output)
    let count = images * tiles.perImage
    let rows = tiles.paddedRows(images: images)
    let (v, m) = (inputs[0].pointer, outputs[0].pointer)
    // Parts of any size where the tiles of all images follow each other, and images otherwise.
    let isDense = tiles.rowsPerImage == tiles.perImage
    let parts = isDense ? min(count, 4 * team.count) : images
    func row(_ part: Int, _ range: Range<Int>) -> Int { isDense ? range.lowerBound : part * tiles.rowsPerImage }
    try team.run(parts) { part, _ in
      let range = evenRange(part, of: parts, count: count)
      rd_winograd_input(
        x, pass.height, pass.width, input, range.lowerBound, range.count, v + row(part, range) * input, rows * input)
    }
    try team.run(36) { plane, _ in multiplyPlane(plane, pass, rows: rows, v: v, m: m) }
    try team.run(parts) { part, _ in
      let range = evenRange(part, of: parts, count: count)
      rd_winograd_output(
        m + row(part, range) * output, rows * output, pass.height, pass.width, output, range.lowerBound, range.count, y)
    }
  }

  private func multiplyPlane(
    _ plane: Int, _ pass: Pass, rows: Int, v: UnsafePointer<Float>, m: UnsafeMutablePointer<Float>
  ) {
    let (input, output) = (pass.input, pass.output)
    let isTransposed = pass.weightsAreTransposed
    multiply(
      Matrix(start: v + plane * rows * input, stride: input),
      Matrix(
        start: weights.pointer + plane * input * output, stride: isTransposed ? input : output,
        isTransposed: isTransposed),
      rows: rows, columns: output, depth: input, into: m + plane * rows * output, stride: output)
  }
}

/// The 4x4 tiles of a map, and how they are grouped.
private struct Tiles {
  let perImage: Int
  private let channelProduct: Int

  init(_ shape: ConvolutionShape) {
    perImage = (shape.outputHeight + 3) / 4 * ((shape.outputWidth + 3) / 4)
    channelProduct = shape.inputChannels * shape.outputChannels
  }

  /// Tiles of a block that is computed in one go.
  static let wanted = 64

  /// Whether a product gets tiles of one image only: where these are enough, or where others would change its bits.
  var areOfOneImage: Bool { perImage >= Self.wanted || rowGroup == nil }
  /// A function of the shape: a block's product has the same size in whatever company its image is.
  var blocksPerImage: Int { max(perImage / Self.wanted, 1) }
  var perBlock: Int { (perImage + blocksPerImage - 1) / blocksPerImage }

  /// Rows that go together in a product (see ``rowGroup``).
  private var group: Int { rowGroup ?? 1 }

  /// How far apart the images' tiles begin, in rows, where all images are computed together.
  var rowsPerImage: Int { (perImage + group - 1) / group * group }

  /// So many rows that the product of one plane is not small and none is left over (see ``RowBlocks``); those without a tile are computed
  /// and not used.
  func paddedRows(images: Int) -> Int {
    let least = RowBlocks.smallProduct / channelProduct + 1
    return (max(images * rowsPerImage, least) + group - 1) / group * group
  }
}
