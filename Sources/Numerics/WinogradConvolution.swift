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

  init(team: ThreadTeam) {
    self.team = team
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
      let rows = tiles.paddedRows(images * tiles.perImage)
      for buffer in [inputs[0], outputs[0]] { buffer.grow(to: 36 * rows * channels) }
    }
  }

  /// Computes y from x `[images][height][width][input channels]` and weights `[3][3][input channels][output channels]`.
  func convolve(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    let plane = shape.inputChannels * shape.outputChannels
    let transformed = self.weights.pointer
    let parts = team.count
    try team.run(parts) { part, _ in
      let range = evenRange(part, of: parts, count: plane)
      rd_winograd_weights(weights, plane, range.lowerBound, range.count, transformed)
    }
    if Tiles(shape).areOfOneImage {
      try convolveBlocks(shape, images: images, x: x, into: y)
    } else {
      try convolvePlanes(shape, images: images, x: x, into: y)
    }
  }

  /// Large maps: a part of an image at a time goes all the way, and stays in the core's cache.
  private func convolveBlocks(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) throws {
    let tiles = Tiles(shape)
    let (input, output) = (shape.inputChannels, shape.outputChannels)
    try team.run(images * tiles.blocksPerImage) { item, thread in
      let image = item / tiles.blocksPerImage
      let range = evenRange(item % tiles.blocksPerImage, of: tiles.blocksPerImage, count: tiles.perImage)
      let (v, m) = (inputs[thread].pointer, outputs[thread].pointer)
      let rows = range.count
      rd_winograd_input(
        x + image * shape.inputCount, shape.inputHeight, shape.inputWidth, input, range.lowerBound, rows, v,
        rows * input)
      for plane in 0..<36 { multiplyPlane(plane, shape, rows: rows, v: v, m: m) }
      rd_winograd_output(
        m, rows * output, shape.inputHeight, shape.inputWidth, output, range.lowerBound, rows,
        y + image * shape.outputCount)
    }
  }

  /// Small maps: all images' tiles together, so that the products are large enough.
  private func convolvePlanes(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) throws {
    let tiles = Tiles(shape)
    let (input, output) = (shape.inputChannels, shape.outputChannels)
    let count = images * tiles.perImage
    let rows = tiles.paddedRows(count)
    let (v, m) = (inputs[0].pointer, outputs[0].pointer)
    let parts = min(count, 4 * team.count)
    try team.run(parts) { part, _ in
      let range = evenRange(part, of: parts, count: count)
      rd_winograd_input(
        x, shape.inputHeight, shape.inputWidth, input, range.lowerBound, range.count,
        v + range.lowerBound * input, rows * input)
    }
    try team.run(36) { plane, _ in multiplyPlane(plane, shape, rows: rows, v: v, m: m) }
    try team.run(parts) { part, _ in
      let range = evenRange(part, of: parts, count: count)
      rd_winograd_output(
        m + range.lowerBound * output, rows * output, shape.inputHeight, shape.inputWidth, output, range.lowerBound,
        range.count, y)
    }
  }

  private func multiplyPlane(
    _ plane: Int, _ shape: ConvolutionShape, rows: Int, v: UnsafePointer<Float>, m: UnsafeMutablePointer<Float>
  ) {
    let (input, output) = (shape.inputChannels, shape.outputChannels)
    multiply(
      Matrix(start: v + plane * rows * input, stride: input),
      Matrix(start: weights.pointer + plane * input * output, stride: output), rows: rows, columns: output,
      depth: input, into: m + plane * rows * output, stride: output)
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
  private static let wanted = 64

  /// Whether a product gets tiles of one image only: where these are enough, or where others would change its bits.
  var areOfOneImage: Bool { perImage >= Self.wanted || !rowsOfProductsAreIndependent }
  /// A function of the shape: a block's product has the same size in whatever company its image is.
  var blocksPerImage: Int { max(perImage / Self.wanted, 1) }
  var perBlock: Int { (perImage + blocksPerImage - 1) / blocksPerImage }

  /// So many rows that the product of one plane is not small (see ``RowBlocks``); those beyond `count` are computed and not used.
  func paddedRows(_ count: Int) -> Int { max(count, RowBlocks.smallProduct / channelProduct + 1) }
}
