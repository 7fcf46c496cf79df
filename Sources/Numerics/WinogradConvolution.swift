import CVectorKernels

/// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): 36 small matrix products in the place of one large one, with a quarter of its
/// multiplications (A. Lavin, S. Gray, CVPR 2016).
///
/// Where there are many tiles, the weights are transformed once and a block of tiles at a time goes all the way in the core's cache. Where there
/// are few, it is the other way round: tiles are transformed once, and blocks of weights are when they are needed.
final class WinogradConvolution {
  private let team: ThreadTeam
  private let instructions: Instructions
  /// Transformed weights, or the tiles of all images and of all their gradients.
  private let shared: FloatBuffer
  private let sharedGradients: FloatBuffer
  /// The weights of an input gradient, turned.
  private let turned: FloatBuffer
  // For each thread, transformed: tiles of the first factor, tiles or weights of the second, and products.
  private let first: [FloatBuffer]
  private let second: [FloatBuffer]
  private let products: [FloatBuffer]
  private let partials: ShardPartials

  /// Products of a 6x6 tile.
  private static let planes = 36
  /// Tiles of a block, and channels of a block of weights.
  private static let tiles = 64
  private static let channels = 64
  /// Floats between planes, which otherwise were whole pages apart: then their lines fight for the same places in the cache.
  private static let gap = 16

  init(team: ThreadTeam, instructions: Instructions) {
    self.team = team
    self.instructions = instructions
    (shared, sharedGradients, turned) = (FloatBuffer(), FloatBuffer(), FloatBuffer())
    func buffers() -> [FloatBuffer] { (0..<team.count).map { _ in FloatBuffer() } }
    (first, second, products) = (buffers(), buffers(), buffers())
    partials = ShardPartials(team: team)
  }

  /// Whether a shape goes this way.
  static func applies(to shape: ConvolutionShape) -> Bool {
    !shape.isTransposed && shape.kernel == 3 && shape.stride == 1
      && min(shape.inputChannels, shape.outputChannels) >= 32
  }

  private static func tilesPerImage(_ shape: ConvolutionShape) -> Int {
    parts(of: shape.outputHeight, size: 4) * parts(of: shape.outputWidth, size: 4)
  }

  /// Whether it is the weights that are transformed once.
  private func areMany(_ tiles: Int) -> Bool { tiles >= Self.tiles * max(team.count, 2) }

  /// Output channels of a block of products.
  private static func outputsOfBlock(_ outputs: Int) -> Int { outputs < 512 ? channels : 2 * channels }

  /// Floats of all planes of `count` floats.
  private static func room(_ count: Int) -> Int { planes * (count + gap) }

  func reserve(_ shape: ConvolutionShape, images: Int, shards: Int) {
    let (input, output) = (shape.inputChannels, shape.outputChannels)
    let tiles = images * Self.tilesPerImage(shape)
    let channels = max(input, output)
    let isTraining = shards > 0
    if areMany(tiles) {
      shared.grow(to: Self.room(max(input * panelColumns(output), isTraining ? output * panelColumns(input) : 0)))
      for buffer in first { buffer.grow(to: Self.room(Self.tiles * channels)) }
    }
    // A rank may have fewer images in the last step of an epoch.
    shared.grow(to: Self.room(min(tiles, Self.tiles * max(team.count, 2)) * channels))
    for buffer in second { buffer.grow(to: Self.room(Self.channels * Self.channels)) }
    for buffer in products { buffer.grow(to: Self.room(Self.tiles * Self.outputsOfBlock(channels))) }
    guard isTraining else { return }
    turned.grow(to: shape.weightCount)
    let block = weightBlock(shape, shards: shards)
    for buffer in products { buffer.grow(to: Self.room(block.inputs * block.outputs)) }
    if Self.isLarge(shape) {
      for buffer in first { buffer.grow(to: Self.room(Self.tiles * block.inputs)) }
      for buffer in second { buffer.grow(to: Self.room(Self.tiles * block.outputs)) }
      partials.reserve(weightCount: shape.weightCount, shards: shards)
    } else {
      shared.grow(to: Self.room(tiles * input))
      sharedGradients.grow(to: Self.room(tiles * panelColumns(output)))
    }
  }

  // MARK: Forward and input gradient

  /// Computes y from x `[images][height][width][input channels]` and weights `[3][3][input channels][output channels]`.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    try convolve(
      Pass(shape, from: shape.inputChannels, to: shape.outputChannels, images: images), x: x, weights: weights, into: y)
  }

  /// Computes dx from dy: a convolution with the weights turned by half a turn, input and output channels exchanged.
  func inputGradient(
    _ shape: ConvolutionShape, images: Int, dy: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>
  ) throws {
    let (input, output, turned) = (shape.inputChannels, shape.outputChannels, turned.pointer)
    let blocks = parts(of: input, size: Self.channels)
    try team.run(9 * blocks) { item, _ in
      let (tap, rows) = (item / blocks, evenRange(item % blocks, of: blocks, count: input))
      rd_transpose(
        weights + (tap * input + rows.lowerBound) * output, output, rows.count, output,
        turned + (8 - tap) * input * output + rows.lowerBound, input)
    }
    try convolve(Pass(shape, from: output, to: input, images: images), x: dy, weights: turned, into: dx)
  }

  /// A convolution from `input` to `output` channels over maps of one size.
  private struct Pass {
    let height: Int
    let width: Int
    let input: Int
    let output: Int
    let tiles: Int

    init(_ shape: ConvolutionShape, from input: Int, to output: Int, images: Int) {
      (height, width) = (shape.inputHeight, shape.inputWidth)
      (self.input, self.output) = (input, output)
      tiles = images * tilesPerImage(shape)
    }
  }

  private func convolve(
    _ pass: Pass, x: UnsafePointer<Float>, weights: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) throws {
    if areMany(pass.tiles) {
      try convolveTileBlocks(pass, x: x, weights: weights, into: y)
    } else {
      try convolveChannelBlocks(pass, x: x, weights: weights, into: y)
    }
  }

  private func convolveTileBlocks(
    _ pass: Pass, x: UnsafePointer<Float>, weights: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) throws {
    let (input, output) = (pass.input, pass.output)
    let transformed = shared.pointer
    let weightPlane = input * panelColumns(output) + Self.gap
    try team.run(parts(of: output, size: panelWidth)) { panel, _ in
      let column = panel * panelWidth
      rd_winograd_weights(
        weights + column, input * output, output, input, min(panelWidth, output - column), transformed + column * input,
        weightPlane, input * panelWidth)
    }
    let blocks = parts(of: pass.tiles, size: Self.tiles)
    let groups = parts(of: output, size: Self.outputsOfBlock(output))
    try team.run(blocks) { block, thread in
      let tiles = evenRange(block, of: blocks, count: pass.tiles)
      let (v, m) = (first[thread].pointer, products[thread].pointer)
      let plane = tiles.count * input + Self.gap
      rd_winograd_input(
        x, pass.height, pass.width, input, input, tiles.lowerBound, tiles.count, v, plane, input, panelWidth)
      for group in 0..<groups {
        let columns = panelRange(group, of: groups, columns: output)
        let productPlane = tiles.count * columns.count + Self.gap
        for k in 0..<Self.planes {
          rd_multiply_panels(
            instructions.code, v + k * plane, input, 1, transformed + k * weightPlane + columns.lowerBound * input,
            input * panelWidth,
            tiles.count, columns.count, input, m + k * productPlane, columns.count, 0)
        }
        rd_winograd_output(
          m, productPlane, columns.count, pass.height, pass.width, output, columns.count, tiles.lowerBound, tiles.count,
          y + columns.lowerBound)
      }
    }
  }

  private func convolveChannelBlocks(
    _ pass: Pass, x: UnsafePointer<Float>, weights: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>
  ) throws {
    let (input, output) = (pass.input, pass.output)
    let v = shared.pointer
    let plane = pass.tiles * input + Self.gap
    let chunks = min(pass.tiles, 4 * team.count)
    try team.run(chunks) { chunk, _ in
      let tiles = evenRange(chunk, of: chunks, count: pass.tiles)
      rd_winograd_input(
        x, pass.height, pass.width, input, input, tiles.lowerBound, tiles.count, v + tiles.lowerBound * input, plane,
        input, panelWidth)
    }
    let blocks = parts(of: pass.tiles, size: Self.tiles)
    let groups = parts(of: output, size: Self.channels)
    try team.run(blocks * groups) { item, thread in
      let columns = panelRange(item / blocks, of: groups, columns: output)
      let tiles = evenRange(item % blocks, of: blocks, count: pass.tiles)
      let (u, m) = (second[thread].pointer, products[thread].pointer)
      let productPlane = tiles.count * columns.count + Self.gap
      for start in stride(from: 0, to: input, by: Self.channels) {
        let rows = min(Self.channels, input - start)
        let weightPlane = rows * panelColumns(columns.count) + Self.gap
        rd_winograd_weights(
          weights + start * output + columns.lowerBound, input * output, output, rows, columns.count, u, weightPlane,
          rows * panelWidth)
        for k in 0..<Self.planes {
          rd_multiply_panels(
            instructions.code, v + k * plane + tiles.lowerBound * input + start, input, 1, u + k * weightPlane,
            rows * panelWidth,
            tiles.count, columns.count, rows, m + k * productPlane, columns.count, start > 0 ? 1 : 0)
        }
      }
      rd_winograd_output(
        m, productPlane, columns.count, pass.height, pass.width, output, columns.count, tiles.lowerBound, tiles.count,
        y + columns.lowerBound)
    }
  }

  // MARK: Weight gradient

  /// Whether maps are so large that a shard's partial sums are best made as a whole.
  private static func isLarge(_ shape: ConvolutionShape) -> Bool { tilesPerImage(shape) >= 16 }

  func largestBlock(_ shape: ConvolutionShape) -> Int {
    Self.isLarge(shape) ? min(ShardPartials.block, shape.weightCount) : 9 * Self.channels * Self.channels
  }

  /// The channels of a block of weights. Large blocks save transforms, but all threads should have one.
  private func weightBlock(_ shape: ConvolutionShape, shards: Int) -> (inputs: Int, outputs: Int) {
    guard Self.isLarge(shape) else { return (Self.channels, Self.channels) }
    // Where a shard has few tiles, products are read as soon as they are made.
    let isShort = Self.tilesPerImage(shape) < Self.tiles
    var block = (inputs: 2 * Self.channels, outputs: isShort ? Self.channels : 2 * Self.channels)
    func count() -> Int {
      shards * parts(of: shape.inputChannels, size: block.inputs) * parts(of: shape.outputChannels, size: block.outputs)
    }
    while count() < team.count, block.outputs > panelWidth {
      block = block.inputs > block.outputs ? (block.inputs / 2, block.outputs) : (block.inputs, block.outputs / 2)
    }
    return block
  }

  func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    if Self.isLarge(shape) {
      try sumOverTileBlocks(shape, shards: shards, x: x, dy: dy, sum: sum)
    } else {
      try sumChannelBlocks(shape, shards: shards, x: x, dy: dy, sum: sum)
    }
  }

  /// Blocks of weights.
  private struct Blocks {
    let shape: ConvolutionShape
    let high: Int
    let wide: Int
    var count: Int { high * wide }

    init(_ shape: ConvolutionShape, _ size: (inputs: Int, outputs: Int)) {
      self.shape = shape
      high = parts(of: shape.inputChannels, size: size.inputs)
      wide = parts(of: shape.outputChannels, size: size.outputs)
    }

    subscript(item: Int) -> (inputs: Range<Int>, outputs: Range<Int>) {
      (
        evenRange(item % high, of: high, count: shape.inputChannels),
        panelRange(item / high, of: wide, columns: shape.outputChannels)
      )
    }
  }

  private func sumOverTileBlocks(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    let (input, output, height, width) = (
      shape.inputChannels, shape.outputChannels, shape.inputHeight, shape.inputWidth
    )
    let perImage = Self.tilesPerImage(shape)
    let blocks = Blocks(shape, weightBlock(shape, shards: shards.count))
    try partials.weightGradient(shape, shards: shards, blocks: blocks.count, sum: sum) {
      images, item, thread, partial in
      let (inputs, outputs) = blocks[item]
      let (v, d, m) = (first[thread].pointer, second[thread].pointer, products[thread].pointer)
      let productPlane = inputs.count * outputs.count + Self.gap
      let own = images.lowerBound * perImage..<images.upperBound * perImage
      for start in stride(from: own.lowerBound, to: own.upperBound, by: Self.tiles) {
        let tiles = min(Self.tiles, own.upperBound - start)
        let plane = tiles * inputs.count + Self.gap
        rd_winograd_input(
          x + inputs.lowerBound, height, width, input, inputs.count, start, tiles, v, plane, inputs.count, panelWidth)
        let gradientPlane = tiles * panelColumns(outputs.count) + Self.gap
        rd_winograd_output_adjoint(
          dy + outputs.lowerBound, height, width, output, outputs.count, start, tiles, d, gradientPlane, panelWidth,
          tiles * panelWidth)
        for k in 0..<Self.planes {
          rd_multiply_panels(
            instructions.code, v + k * plane, 1, inputs.count, d + k * gradientPlane, tiles * panelWidth, inputs.count,
            outputs.count, tiles,
            m + k * productPlane, outputs.count, start > own.lowerBound ? 1 : 0)
        }
      }
      let target = v
      rd_winograd_weights_adjoint(m, productPlane, inputs.count * outputs.count, target)
      WeightBlock(inputs: inputs, outputs: outputs, of: shape).scatter(target, to: partial)
    }
  }

  private func sumChannelBlocks(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    let (input, output, height, width) = (
      shape.inputChannels, shape.outputChannels, shape.inputHeight, shape.inputWidth
    )
    let perImage = Self.tilesPerImage(shape)
    let count = (shards.last?.upperBound ?? 0) * perImage
    let (v, d) = (shared.pointer, sharedGradients.pointer)
    let (plane, gradientPlane) = (count * input + Self.gap, count * panelColumns(output) + Self.gap)
    let chunks = min(count, 4 * team.count)
    try team.run(chunks) { chunk, _ in
      let tiles = evenRange(chunk, of: chunks, count: count)
      rd_winograd_input(
        x, height, width, input, input, tiles.lowerBound, tiles.count, v + tiles.lowerBound * input, plane, input,
        panelWidth)
      rd_winograd_output_adjoint(
        dy, height, width, output, output, tiles.lowerBound, tiles.count, d + tiles.lowerBound * panelWidth,
        gradientPlane, panelWidth, count * panelWidth)
    }
    let blocks = Blocks(shape, weightBlock(shape, shards: shards.count))
    try team.run(blocks.count) { item, thread in
      let (inputs, outputs) = blocks[item]
      let m = products[thread].pointer
      let productPlane = inputs.count * outputs.count + Self.gap
      let weights = WeightBlock(inputs: inputs, outputs: outputs, of: shape)
      try sum(weights, thread) { shard, partial in
        let tiles = shards[shard].lowerBound * perImage..<shards[shard].upperBound * perImage
        if tiles.isEmpty { return partial.update(repeating: 0, count: weights.count) }
        for k in 0..<Self.planes {
          rd_multiply_panels(
            instructions.code, v + k * plane + tiles.lowerBound * input + inputs.lowerBound, 1, input,
            d + k * gradientPlane + outputs.lowerBound * count + tiles.lowerBound * panelWidth, count * panelWidth,
            inputs.count, outputs.count, tiles.count, m + k * productPlane, outputs.count, 0)
        }
        rd_winograd_weights_adjoint(m, productPlane, inputs.count * outputs.count, partial)
      }
    }
  }
}

extension WeightBlock {
  /// All taps of some input and output channels.
  fileprivate init(inputs: Range<Int>, outputs: Range<Int>, of shape: ConvolutionShape) {
    self.init(
      start: inputs.lowerBound * shape.outputChannels + outputs.lowerBound, slices: shape.kernel * shape.kernel,
      sliceStride: shape.inputChannels * shape.outputChannels, rows: inputs.count, rowStride: shape.outputChannels,
      columns: outputs.count)
  }
}
