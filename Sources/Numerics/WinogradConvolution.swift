import CVectorKernels

/// 3x3 convolutions of stride 1 and 2 by Winograd's minimal filtering: many small matrix products in the place of a large one, with a quarter of its
/// multiplications at stride 1 and nine sixteenths at stride 2 (A. Lavin, S. Gray, CVPR 2016).
///
/// Where there are many tiles, the weights are transformed once and a block of tiles at a time goes all the way in the core's cache. Where there
/// are few, it is the other way round: tiles are transformed once, and blocks of weights are when they are needed.
final class WinogradConvolution {
  private let team: ThreadTeam
  private let instructions: Instructions
  /// What transformed values are rounded to. Transforms, and sums, are in single precision.
  private let precision: Precision
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

  /// Planes of transformed weights.
  private static let weightPlanes = 36
  /// Tiles of a block, and channels of a block of weights.
  private static let tiles = 64
  private static let channels = 64
  /// Floats between planes, which otherwise were whole pages apart: then their lines fight for the same places in the cache.
  private static let gap = 16

  init(team: ThreadTeam, precision: Precision, instructions: Instructions, partials: ShardPartials) {
    self.team = team
    self.precision = precision
    self.instructions = instructions
    (shared, sharedGradients, turned) = (FloatBuffer(), FloatBuffer(), FloatBuffer())
    func buffers() -> [FloatBuffer] { (0..<team.count).map { _ in FloatBuffer() } }
    (first, second, products) = (buffers(), buffers(), buffers())
    self.partials = partials
  }

  /// Whether a shape goes this way: at stride 2 a map of few tiles is not worth its many planes.
  static func applies(to shape: ConvolutionShape) -> Bool {
    !shape.isTransposed && shape.kernel == 3 && min(shape.inputChannels, shape.outputChannels) >= 32
      && (shape.stride == 1 || shape.stride == 2 && isLarge(shape))
  }

  static func tilesPerImage(_ shape: ConvolutionShape) -> Int { Tiling(shape).perImage }

  /// The tiles of 4x4 outputs, and what becomes of each.
  private struct Tiling {
    let stride: Int32
    let high: Int
    let wide: Int
    var perImage: Int { high * wide }
    /// Rows of transformed tiles, whose pairs do not go from one image to the next.
    func rowsPerImage(_ precision: Precision) -> Int { precision == .bf16 ? parts(of: perImage, size: 2) : perImage }
    /// Products of a tile along an axis, and in all.
    var points: Int { stride == 1 ? 6 : 9 }
    var planes: Int { points * points }

    init(_ shape: ConvolutionShape) {
      stride = Int32(shape.stride)
      high = parts(of: shape.outputHeight, size: 4)
      wide = parts(of: shape.outputWidth, size: 4)
    }

    /// The plane of the weights that a plane of tiles is multiplied by.
    func weightPlane(of plane: Int) -> Int { 6 * min(plane / points, 5) + min(plane % points, 5) }

    /// Floats of all planes of `count` floats.
    func room(_ count: Int) -> Int { planes * (count + gap) }
  }

  /// Whether it is the weights that are transformed once.
  private func areMany(_ tiles: Int) -> Bool { tiles >= Self.tiles * max(team.count, 2) }

  /// Output channels of a block of products.
  private static func outputsOfBlock(_ outputs: Int) -> Int { outputs < 512 ? channels : 2 * channels }

  /// Floats of all planes of `count` weights.
  private static func room(_ count: Int) -> Int { weightPlanes * (count + gap) }

  private var isPaired: Bool { precision == .bf16 }
  private var pairedRows: Int32 { Int32(isPaired ? RD_PAIRED_ROWS : RD_SINGLE) }

  /// Words of a depth of `count`.
  private func words(_ count: Int) -> Int { isPaired ? parts(of: count, size: 2) : count }

  func reserve(_ shape: ConvolutionShape, images: Int, isTraining: Bool) {
    let (input, output) = (shape.inputChannels, shape.outputChannels)
    let tiling = Tiling(shape)
    let tiles = images * tiling.perImage
    // An input gradient goes the other way.
    let channels = words(isTraining ? max(input, output) : input)
    if areMany(tiles) {
      shared.grow(
        to: Self.room(max(words(input) * panelColumns(output), isTraining ? words(output) * panelColumns(input) : 0)))
      for buffer in first { buffer.grow(to: tiling.room(Self.tiles * channels)) }
    }
    // A rank may have fewer images in the last step of an epoch.
    shared.grow(to: tiling.room(min(tiles, Self.tiles * max(team.count, 2)) * channels))
    for buffer in second { buffer.grow(to: Self.room(Self.channels * Self.channels)) }
    for buffer in products { buffer.grow(to: tiling.room(Self.tiles * Self.outputsOfBlock(max(input, output)))) }
    if isTraining { turned.grow(to: shape.weightCount) }
  }

  func reserveWeightGradient(_ shape: ConvolutionShape, images: Int, shards: Int) {
    let tiling = Tiling(shape)
    let block = weightBlock(shape, shards: shards)
    for buffer in products { buffer.grow(to: Self.room(block.inputs * block.outputs)) }
    if Self.isLarge(shape) {
      for buffer in first { buffer.grow(to: tiling.room(Self.tiles * block.inputs)) }
      for buffer in second { buffer.grow(to: tiling.room(Self.tiles * block.outputs)) }
      partials.reserve(9 * block.inputs * block.outputs, shards: shards)
    } else {
      let rows = images * tiling.rowsPerImage(precision)
      shared.grow(to: tiling.room(rows * shape.inputChannels))
      sharedGradients.grow(to: tiling.room(rows * panelColumns(shape.outputChannels)))
    }
  }

  // MARK: Forward and input gradient

  /// The weights of a pass.
  private struct Weights {
    let start: UnsafePointer<Float>
    var form = WeightForm.plain
  }

  /// A block of weights.
  private struct Block {
    let start: UnsafePointer<Float>
    let tapStride: Int
    let rowStride: Int

    /// - Parameter output: output channels of all weights.
    init(_ weights: Weights, rows: Range<Int>, of input: Int, columns: Range<Int>, of output: Int) {
      if weights.form == .blocked {
        start = weights.start + 9 * (columns.lowerBound * input + rows.lowerBound * columns.count)
        (tapStride, rowStride) = (rows.count * columns.count, columns.count)
      } else {
        start = weights.start + rows.lowerBound * output + columns.lowerBound
        (tapStride, rowStride) = (input * output, output)
      }
    }
  }

  /// Of few tiles the products take less time than the transforms of the weights. In bf16 these are done here, once: for twice the memory of the
  /// weights. In fp32 it were four times that, and transforming what lies together each time takes little longer.
  func freeze(_ weights: [Float], of shape: ConvolutionShape, images: Int) throws -> FrozenWeights {
    if areMany(images * Tiling(shape).perImage) { return FrozenWeights(buffer: FloatBuffer(weights)) }
    return try weights.withUnsafeBufferPointer {
      guard let start = $0.baseAddress else { return FrozenWeights(buffer: FloatBuffer()) }
      let plain = Weights(start: start)
      return try precision == .bf16 ? transformed(plain, of: shape) : blocked(plain, of: shape)
    }
  }

  private func transformed(_ weights: Weights, of shape: ConvolutionShape) throws -> FrozenWeights {
    let (input, output) = (shape.inputChannels, shape.outputChannels)
    let planes = FloatBuffer(Self.room(words(input) * panelColumns(output)))
    try transform(weights.start, stride: Int32(shape.stride), input: input, output: output, into: planes.pointer)
    return FrozenWeights(buffer: planes, form: .transformed)
  }

  private func blocked(_ weights: Weights, of shape: ConvolutionShape) throws -> FrozenWeights {
    let (input, output) = (shape.inputChannels, shape.outputChannels)
    let blocks = FloatBuffer(shape.weightCount)
    let (slices, groups) = (parts(of: input, size: Self.channels), parts(of: output, size: Self.channels))
    try team.run(slices * groups) { item, _ in
      let rows = panelRange(item % slices, of: slices, columns: input)
      let columns = panelRange(item / slices, of: groups, columns: output)
      let source = Block(weights, rows: rows, of: input, columns: columns, of: output)
      var target = blocks.pointer + 9 * (columns.lowerBound * input + rows.lowerBound * columns.count)
      for tap in 0..<9 {
        for row in 0..<rows.count {
          target.update(from: source.start + tap * source.tapStride + row * source.rowStride, count: columns.count)
          target += columns.count
        }
      }
    }
    return FrozenWeights(buffer: blocks, form: .blocked)
  }

  func forward(
    _ shape: ConvolutionShape, images: Int, x: FeatureMap, weights: FrozenWeights, epilogue: Epilogue,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    try convolve(
      Pass(shape, from: shape.input, to: shape.output, images: images, isPaired: isPaired, epilogue: epilogue), x: x,
      weights: Weights(start: weights.buffer.pointer, form: weights.form), into: y)
  }

  private func transform(
    _ weights: UnsafePointer<Float>, stride: Int32, input: Int, output: Int, into planes: UnsafeMutablePointer<Float>
  ) throws {
    let depth = words(input)
    try team.run(parts(of: output, size: panelWidth)) { panel, _ in
      let column = panel * panelWidth
      rd_winograd_weights(
        stride, pairedRows, weights + column, input * output, output, input, min(panelWidth, output - column),
        planes + column * depth, depth * panelColumns(output) + Self.gap, depth * panelWidth)
    }
  }

  /// Computes y from x `[images][height][width][input channels]` and weights `[3][3][input channels][output channels]`.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: FeatureMap, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    try convolve(
      Pass(shape, from: shape.input, to: shape.output, images: images, isPaired: isPaired, stored: stored), x: x,
      weights: Weights(start: weights), into: y)
  }

  /// Computes dx from dy: a convolution with the weights turned by half a turn, input and output channels exchanged.
  func inputGradient(
    _ shape: ConvolutionShape, images: Int, channels: Int, dy: FeatureMap, weights: UnsafePointer<Float>,
    adding: Bool, into dx: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    let (input, output, turned) = (shape.inputChannels, shape.outputChannels, turned.pointer)
    let blocks = parts(of: channels, size: Self.channels)
    try team.run(9 * blocks) { item, _ in
      let (tap, rows) = (item / blocks, evenRange(item % blocks, of: blocks, count: channels))
      rd_transpose(
        weights + (tap * input + rows.lowerBound) * output, output, rows.count, output,
        turned + (8 - tap) * channels * output + rows.lowerBound, channels)
    }
    try convolve(
      Pass(
        shape, from: shape.output, to: shape.input, images: images, outputs: channels, isPaired: isPaired,
        isGradient: true, isAdded: adding, stored: stored), x: dy,
      weights: Weights(start: turned), into: dx)
  }

  /// A convolution from one map to another, or the gradient of one of stride 2.
  private struct Pass {
    let source: ConvolutionShape.Map
    let target: ConvolutionShape.Map
    let tiling: Tiling
    let tiles: Int
    private let isPaired: Bool
    private let isStridedGradient: Bool
    private let epilogue: Epilogue?
    private let isAdded: Bool
    /// How the target is.
    private let stored: Precision

    var input: Int { source.channels }
    /// Channels of the target that are computed.
    let output: Int

    init(
      _ shape: ConvolutionShape, from source: ConvolutionShape.Map, to target: ConvolutionShape.Map, images: Int,
      outputs: Int? = nil, isPaired: Bool, isGradient: Bool = false, isAdded: Bool = false,
      epilogue: Epilogue? = nil, stored: Precision = .fp32
    ) {
      precondition(stored == .fp32 || epilogue == nil && !isAdded)
      self.source = source
      self.target = target
      output = outputs ?? target.channels
      tiling = Tiling(shape)
      tiles = images * tiling.perImage
      self.isPaired = isPaired
      isStridedGradient = isGradient && shape.stride == 2
      self.epilogue = epilogue
      self.isAdded = isAdded
      self.stored = stored
    }

    /// What some tiles are made of.
    func area(of x: FeatureMap, under tiles: Range<Int>) -> rd_area {
      rd_area(x, pixels: source.pixels(under: tiles, of: tiling.perImage), of: input)
    }

    /// Transforms some channels of some tiles of the source.
    func spread(
      _ tiles: Range<Int>, channels: Range<Int>, of x: FeatureMap, to planes: UnsafeMutablePointer<Float>,
      plane: Int
    ) {
      let x = x.advanced(by: channels.lowerBound)
      let (pairing, count) =
        isPaired ? (RD_PAIRED_COLUMNS, parts(of: channels.count, size: 2)) : (RD_SINGLE, channels.count)
      let panel = isPaired ? panelWidth / 2 : panelWidth
      if isStridedGradient {
        rd_winograd_strided_gradient(
          Int32(pairing), x.start, x.precision.bf16Flag, source.height, source.width, input, channels.count,
          tiling.high,
          tiling.wide,
          tiles.lowerBound, tiles.count, planes, plane, count, panel)
      } else {
        rd_winograd_input(
          tiling.stride, Int32(pairing), x.start, x.precision.bf16Flag, source.height, source.width, input,
          channels.count,
          tiling.high,
          tiling.wide, tiles.lowerBound, tiles.count, planes, plane, count, panel)
      }
    }

    /// Transforms some channels of some tiles back, to the target.
    func collect(
      _ tiles: Range<Int>, channels: Range<Int>, from planes: UnsafePointer<Float>, plane: Int,
      to y: UnsafeMutablePointer<Float>
    ) {
      if isStridedGradient {
        rd_winograd_strided_input_gradient(
          planes, plane, channels.count, target.height, target.width, target.channels, channels.count, tiling.high,
          tiling.wide,
          tiles.lowerBound, tiles.count, isAdded ? 1 : 0, y + stored.words(channels.lowerBound), stored.bf16Flag)
      } else {
        rd_winograd_output(
          tiling.stride, planes, plane, channels.count, target.height, target.width, target.channels, channels.count,
          tiling.high, tiling.wide, tiles.lowerBound, tiles.count, epilogue.map { $0.bias + channels.lowerBound },
          epilogue?.residual.map { $0 + channels.lowerBound }, (epilogue?.activation ?? .linear).code,
          isAdded ? 1 : 0, y + stored.words(channels.lowerBound), stored.bf16Flag)
      }
    }
  }

  private func convolve(
    _ pass: Pass, x: FeatureMap, weights: Weights, into y: UnsafeMutablePointer<Float>
  ) throws {
    if areMany(pass.tiles) {
      try convolveTileBlocks(pass, x: x, weights: weights, into: y)
    } else {
      try convolveChannelBlocks(pass, x: x, weights: weights, into: y)
    }
  }

  private func convolveTileBlocks(
    _ pass: Pass, x: FeatureMap, weights: Weights, into y: UnsafeMutablePointer<Float>
  ) throws {
    let (input, output, tiling) = (pass.input, pass.output, pass.tiling)
    let depth = words(input)
    let weightPlane = depth * panelColumns(output) + Self.gap
    precondition(weights.form == .plain)
    let u = UnsafePointer(shared.pointer)
    try transform(weights.start, stride: tiling.stride, input: input, output: output, into: shared.pointer)
    let blocks = parts(of: pass.tiles, size: Self.tiles)
    let groups = parts(of: output, size: Self.outputsOfBlock(output))
    try team.run(blocks) { block, thread in
      let tiles = evenRange(block, of: blocks, count: pass.tiles)
      let (v, m) = (first[thread].pointer, products[thread].pointer)
      let plane = tiles.count * depth + Self.gap
      pass.spread(tiles, channels: 0..<input, of: x, to: v, plane: plane)
      // The threads take turns.
      let next = block + team.count
      var ahead = rd_ahead(
        next < blocks ? pass.area(of: x, under: evenRange(next, of: blocks, count: pass.tiles)) : nil)
      for group in 0..<groups {
        let columns = panelRange(group, of: groups, columns: output)
        let productPlane = tiles.count * columns.count + Self.gap
        for k in 0..<tiling.planes {
          rd_multiply_panels(
            instructions.code, isPaired ? 1 : 0, v + k * plane, depth, 1,
            u + tiling.weightPlane(of: k) * weightPlane + columns.lowerBound * depth, depth * panelWidth, tiles.count,
            columns.count, depth, m + k * productPlane, columns.count, 0, &ahead)
        }
        pass.collect(tiles, channels: columns, from: m, plane: productPlane, to: y)
      }
    }
  }

  private func convolveChannelBlocks(
    _ pass: Pass, x: FeatureMap, weights: Weights, into y: UnsafeMutablePointer<Float>
  ) throws {
    let (input, output, tiling) = (pass.input, pass.output, pass.tiling)
    let v = shared.pointer
    let plane = pass.tiles * words(input) + Self.gap
    // A block of input channels after the other, so that what a product reads lies together.
    let slices = weights.form == .transformed ? 1 : parts(of: input, size: Self.channels)
    func slice(_ index: Int) -> (rows: Range<Int>, depth: Int, start: UnsafeMutablePointer<Float>) {
      let rows = panelRange(index, of: slices, columns: input)
      return (rows, words(rows.count), v + words(rows.lowerBound) * pass.tiles)
    }
    let chunks = min(pass.tiles, 4 * team.count)
    try team.run(chunks * slices) { item, _ in
      let tiles = evenRange(item % chunks, of: chunks, count: pass.tiles)
      let (rows, depth, start) = slice(item / chunks)
      pass.spread(tiles, channels: rows, of: x, to: start + tiles.lowerBound * depth, plane: plane)
    }
    let blocks = parts(of: pass.tiles, size: tiling.stride == 1 ? Self.tiles : Self.tiles / 2)
    let groups = parts(of: output, size: Self.channels)
    try team.run(blocks * groups) { item, thread in
      let columns = panelRange(item / blocks, of: groups, columns: output)
      let tiles = evenRange(item % blocks, of: blocks, count: pass.tiles)
      let m = products[thread].pointer
      let productPlane = tiles.count * columns.count + Self.gap
      for index in 0..<slices {
        let (rows, depth, start) = slice(index)
        let (u, weightPlane): (UnsafePointer<Float>, Int)
        if weights.form == .transformed {
          (u, weightPlane) = (weights.start + columns.lowerBound * depth, depth * panelColumns(output) + Self.gap)
        } else {
          (u, weightPlane) = (
            UnsafePointer(second[thread].pointer), depth * panelColumns(columns.count) + Self.gap
          )
          let block = Block(weights, rows: rows, of: input, columns: columns, of: output)
          rd_winograd_weights(
            tiling.stride, pairedRows, block.start, block.tapStride, block.rowStride, rows.count, columns.count,
            second[thread].pointer, weightPlane, depth * panelWidth)
        }
        for k in 0..<tiling.planes {
          rd_multiply_panels(
            instructions.code, isPaired ? 1 : 0, start + tiles.lowerBound * depth + k * plane, depth, 1,
            u + tiling.weightPlane(of: k) * weightPlane, depth * panelWidth, tiles.count, columns.count, depth,
            m + k * productPlane, columns.count, index > 0 ? 1 : 0, nil)
        }
      }
      pass.collect(tiles, channels: columns, from: m, plane: productPlane, to: y)
    }
  }

  // MARK: Weight gradient

  /// Whether maps are so large that a shard's partial sums are best made as a whole.
  private static func isLarge(_ shape: ConvolutionShape) -> Bool { Tiling(shape).perImage >= 16 }

  func largestBlock(_ shape: ConvolutionShape) -> Int {
    let blocks = Blocks(shape, weightBlock(shape, shards: .max))
    let all = (0..<blocks.count).map { WeightBlock(inputs: blocks[$0].inputs, outputs: blocks[$0].outputs, of: shape) }
    return all.reduce(0) { max($0, Self.isLarge(shape) ? partials.largestPart(of: $1) : $1.count) }
  }

  /// The channels of a block of weights. Large blocks save transforms, but all threads should have one.
  private func weightBlock(_ shape: ConvolutionShape, shards: Int) -> (inputs: Int, outputs: Int) {
    guard Self.isLarge(shape) else { return (Self.channels, Self.channels) }
    // Where a shard has few tiles, products are read as soon as they are made.
    let isShort = Tiling(shape).perImage < Self.tiles
    var block = (inputs: 2 * Self.channels, outputs: isShort ? Self.channels : 2 * Self.channels)
    func count() -> Int {
      min(shards, team.count) * parts(of: shape.inputChannels, size: block.inputs)
        * parts(of: shape.outputChannels, size: block.outputs)
    }
    while count() < team.count, block.outputs > panelWidth {
      block = block.inputs > block.outputs ? (block.inputs / 2, block.outputs) : (block.inputs, block.outputs / 2)
    }
    return block
  }

  func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: FeatureMap, dy: FeatureMap,
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
        panelRange(item % high, of: high, columns: shape.inputChannels),
        panelRange(item / high, of: wide, columns: shape.outputChannels)
      )
    }
  }

  private func sumOverTileBlocks(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: FeatureMap, dy: FeatureMap,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    let (source, target, tiling) = (shape.input, shape.output, Tiling(shape))
    let perImage = tiling.rowsPerImage(precision)
    let blocks = Blocks(shape, weightBlock(shape, shards: shards.count))
    try partials.weightGradient(
      shards: shards, blocks: blocks.count,
      block: { WeightBlock(inputs: blocks[$0].inputs, outputs: blocks[$0].outputs, of: shape) }, sum: sum
    ) { images, item, thread, partial in
      let (inputs, outputs) = blocks[item]
      let (ownX, ownDY) = (x.advanced(by: inputs.lowerBound), dy.advanced(by: outputs.lowerBound))
      let (v, d, m) = (first[thread].pointer, second[thread].pointer, products[thread].pointer)
      let productPlane = inputs.count * outputs.count + Self.gap
      let own = images.lowerBound * perImage..<images.upperBound * perImage
      for start in stride(from: own.lowerBound, to: own.upperBound, by: Self.tiles) {
        let rows = min(Self.tiles, own.upperBound - start)
        let plane = rows * inputs.count + Self.gap
        let gradientPlane = rows * panelColumns(outputs.count) + Self.gap
        rd_winograd_input(
          tiling.stride, pairedRows, ownX.start, x.precision.bf16Flag, source.height, source.width, source.channels,
          inputs.count,
          tiling.high, tiling.wide, start, rows, v, plane, inputs.count, panelWidth)
        rd_winograd_output_adjoint(
          tiling.stride, pairedRows, ownDY.start, dy.precision.bf16Flag, target.height, target.width, target.channels,
          outputs.count, tiling.high, tiling.wide, start, rows, d, gradientPlane, panelWidth, rows * panelWidth)
        let next = min(start + Self.tiles, own.upperBound)..<min(start + 2 * Self.tiles, own.upperBound)
        let ahead = rd_ahead(
          rd_area(x, pixels: source.pixels(under: next, of: perImage), of: source.channels, channels: inputs),
          rd_area(dy, pixels: target.pixels(under: next, of: perImage), of: target.channels, channels: outputs))
        addPlanes(
          tiling, v, plane: plane, rowStride: inputs.count, d, plane: gradientPlane, panelStride: rows * panelWidth,
          inputs: inputs.count, outputs: outputs.count, rows: rows, into: m, plane: productPlane,
          adding: start > own.lowerBound, ahead: ahead)
      }
      rd_winograd_weights_adjoint(tiling.stride, m, productPlane, inputs.count * outputs.count, partial)
    }
  }

  private func sumChannelBlocks(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: FeatureMap, dy: FeatureMap,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    let (source, target, tiling) = (shape.input, shape.output, Tiling(shape))
    let (input, output) = (source.channels, target.channels)
    let perImage = tiling.rowsPerImage(precision)
    let count = (shards.last?.upperBound ?? 0) * perImage
    let (v, d) = (shared.pointer, sharedGradients.pointer)
    let (plane, gradientPlane) = (count * input + Self.gap, count * panelColumns(output) + Self.gap)
    let chunks = min(count, 4 * team.count)
    try team.run(chunks) { chunk, _ in
      let rows = evenRange(chunk, of: chunks, count: count)
      rd_winograd_input(
        tiling.stride, pairedRows, x.start, x.precision.bf16Flag, source.height, source.width, input, input,
        tiling.high,
        tiling.wide,
        rows.lowerBound, rows.count, v + rows.lowerBound * input, plane, input, panelWidth)
      rd_winograd_output_adjoint(
        tiling.stride, pairedRows, dy.start, dy.precision.bf16Flag, target.height, target.width, output, output,
        tiling.high, tiling.wide,
        rows.lowerBound, rows.count, d + rows.lowerBound * panelWidth, gradientPlane, panelWidth, count * panelWidth)
    }
    let blocks = Blocks(shape, weightBlock(shape, shards: shards.count))
    try team.run(blocks.count) { item, thread in
      let (inputs, outputs) = blocks[item]
      let m = products[thread].pointer
      let productPlane = inputs.count * outputs.count + Self.gap
      let weights = WeightBlock(inputs: inputs, outputs: outputs, of: shape)
      try sum(weights, thread) { shard, room in
        let rows = shards[shard].lowerBound * perImage..<shards[shard].upperBound * perImage
        if rows.isEmpty {
          room.update(repeating: 0, count: weights.count)
          return UnsafePointer(room)
        }
        addPlanes(
          tiling, v + rows.lowerBound * input + inputs.lowerBound, plane: plane, rowStride: input,
          d + outputs.lowerBound * count + rows.lowerBound * panelWidth, plane: gradientPlane,
          panelStride: count * panelWidth, inputs: inputs.count, outputs: outputs.count, rows: rows.count, into: m,
          plane: productPlane, adding: false, ahead: rd_ahead())
        rd_winograd_weights_adjoint(tiling.stride, m, productPlane, inputs.count * outputs.count, room)
        return UnsafePointer(room)
      }
    }
  }

  /// Adds the products of rows of tiles of inputs and of gradients to the planes of the weights' gradient.
  private func addPlanes(
    _ tiling: Tiling, _ v: UnsafePointer<Float>, plane: Int, rowStride: Int, _ d: UnsafePointer<Float>,
    plane gradientPlane: Int, panelStride: Int, inputs: Int, outputs: Int, rows: Int,
    into m: UnsafeMutablePointer<Float>, plane productPlane: Int, adding: Bool, ahead: rd_ahead
  ) {
    var ahead = ahead
    for k in 0..<tiling.planes {
      // The first of the planes that meet these weights overwrites.
      let (row, column) = (k / tiling.points, k % tiling.points)
      let isLater = row > 5 || column > 5
      rd_multiply_panels(
        instructions.code, isPaired ? 1 : 0, v + k * plane, 1, rowStride, d + k * gradientPlane, panelStride, inputs,
        outputs, rows,
        m + tiling.weightPlane(of: k) * productPlane, outputs, adding || isLater ? 1 : 0, &ahead)
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
