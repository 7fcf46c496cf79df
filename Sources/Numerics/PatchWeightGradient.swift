import CVectorKernels

/// Weight gradients of convolutions as products of patches with pixels, in fp32 or bf16.
final class PatchWeightGradient {
  private let team: ThreadTeam
  private let instructions: Instructions
  private let precision: Precision
  // For each thread: patches as they are, and in pairs of bf16; a block of the second factor.
  private let patches: [FloatBuffer]
  private let pairs: [FloatBuffer]
  private let panels: [FloatBuffer]
  private let partials: ShardPartials

  /// The sides of a block, large since its factors are packed for it alone.
  private static let side = 512
  /// Pixels at a time.
  private static let depth = 128

  init(team: ThreadTeam, precision: Precision, instructions: Instructions, partials: ShardPartials) {
    self.team = team
    self.instructions = instructions
    self.precision = precision
    self.partials = partials
    func buffers() -> [FloatBuffer] { (0..<team.count).map { _ in FloatBuffer() } }
    (patches, pairs, panels) = (buffers(), buffers(), buffers())
  }

  func reserve(_ shape: ConvolutionShape, shards: Int) {
    let block = Self.depth * Self.side
    for buffer in patches { buffer.grow(to: block) }
    if precision == .bf16 { for buffer in pairs { buffer.grow(to: block / 2) } }
    for buffer in panels { buffer.grow(to: block) }
    let gradient = Gradient(shape: shape)
    if gradient.isOfManyPixels { partials.reserve(Blocks(gradient, atLeast: 1).largest, shards: shards) }
  }

  /// The weights as a matrix: the sum over pixels of one factor's values, transposed, times the other's. Of an ordinary convolution these are
  /// patches of x and pixels of dy, of a transposed one pixels of x and patches of dy.
  private struct Gradient {
    let shape: ConvolutionShape
    var rows: Int { shape.isTransposed ? shape.inputChannels : shape.kernel * shape.kernel * shape.inputChannels }
    var columns: Int { shape.weightCount / rows }
    var pixels: Int { shape.isTransposed ? shape.inputPixels : shape.outputPixels }

    /// Whether there are so many pixels that each shard is work enough for a thread.
    var isOfManyPixels: Bool { pixels >= 1024 }
  }

  /// The matrix in blocks, so many that all threads have work.
  private struct Blocks {
    let gradient: Gradient
    private(set) var high: Int
    private(set) var wide: Int
    var count: Int { high * wide }
    /// The largest block's weights.
    var largest: Int {
      panelWidth * parts(of: panelColumns(gradient.rows) / panelWidth, size: high) * panelWidth
        * parts(of: panelColumns(gradient.columns) / panelWidth, size: wide)
    }

    init(_ gradient: Gradient, atLeast count: Int) {
      self.gradient = gradient
      high = parts(of: gradient.rows, size: side)
      wide = parts(of: gradient.columns, size: side)
      while high * wide < count, gradient.columns / wide >= 2 * PatchConvolution.fewColumns { wide *= 2 }
      while high * wide < count, gradient.rows / high >= 2 * PatchConvolution.fewColumns { high *= 2 }
    }

    subscript(item: Int) -> (rows: Range<Int>, columns: Range<Int>) {
      (
        panelRange(item / wide, of: high, columns: gradient.rows),
        panelRange(item % wide, of: wide, columns: gradient.columns)
      )
    }

    func place(_ rows: Range<Int>, _ columns: Range<Int>) -> WeightBlock {
      WeightBlock(
        start: rows.lowerBound * gradient.columns + columns.lowerBound, rows: rows.count, rowStride: gradient.columns,
        columns: columns.count)
    }
  }

  private func blocks(_ gradient: Gradient) -> Blocks { Blocks(gradient, atLeast: 2 * team.count) }

  func largestBlock(_ shape: ConvolutionShape) -> Int {
    let gradient = Gradient(shape: shape)
    guard gradient.isOfManyPixels else { return blocks(gradient).largest }
    let blocks = Blocks(gradient, atLeast: 1)
    return (0..<blocks.count).reduce(0) {
      max($0, partials.largestPart(of: blocks.place(blocks[$1].rows, blocks[$1].columns)))
    }
  }

  func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: FeatureMap, dy: FeatureMap,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    let gradient = Gradient(shape: shape)
    func product(
      _ images: Range<Int>, _ rows: Range<Int>, _ columns: Range<Int>, thread: Int,
      into output: UnsafeMutablePointer<Float>
    ) {
      let pixels = images.lowerBound * gradient.pixels..<images.upperBound * gradient.pixels
      for first in stride(from: pixels.lowerBound, to: pixels.upperBound, by: Self.depth) {
        let some = first..<min(first + Self.depth, pixels.upperBound)
        let next = some.upperBound..<min(some.upperBound + Self.depth, pixels.upperBound)
        addProduct(
          gradient, pixels: some, next: next, rows: rows, columns: columns, x: x, dy: dy, thread: thread, into: output,
          adding: first > pixels.lowerBound)
      }
    }
    if gradient.isOfManyPixels {
      let blocks = Blocks(gradient, atLeast: parts(of: team.count, size: shards.count))
      try partials.weightGradient(
        shards: shards, blocks: blocks.count, block: { blocks.place(blocks[$0].rows, blocks[$0].columns) }, sum: sum
      ) { images, item, thread, partial in
        product(images, blocks[item].rows, blocks[item].columns, thread: thread, into: partial)
      }
    } else {
      let blocks = blocks(gradient)
      try team.run(blocks.count) { item, thread in
        let (rows, columns) = blocks[item]
        try sum(blocks.place(rows, columns), thread) { shard, room in
          if shards[shard].isEmpty { room.update(repeating: 0, count: rows.count * columns.count) }
          product(shards[shard], rows, columns, thread: thread, into: room)
          return UnsafePointer(room)
        }
      }
    }
  }

  private func addProduct(
    _ gradient: Gradient, pixels: Range<Int>, next: Range<Int>, rows: Range<Int>, columns: Range<Int>, x: FeatureMap,
    dy: FeatureMap, thread: Int, into output: UnsafeMutablePointer<Float>, adding: Bool
  ) {
    let shape = gradient.shape
    let (panels, patches) = (panels[thread].pointer, patches[thread].pointer)
    let depth = pixels.count
    let paired = precision == .bf16
    let words = paired ? (depth + 1) / 2 : depth

    // The second factor, in panels.
    let (second, secondStride) =
      shape.isTransposed
      ? values(of: dy, shape.output, shape, windows: pixels, columns: columns, into: patches)
      : values(of: dy, shape.output, pixels: pixels, columns: columns)
    if !paired {
      rd_pack_panels(second.start, secondStride, 1, depth, columns.count, panels, words * panelWidth)
    } else {
      panels.withMemoryRebound(to: UInt32.self, capacity: words * panelColumns(columns.count)) {
        rd_pair_panels(
          second.start, second.precision.bf16Flag, secondStride, depth, columns.count, $0, words * panelWidth)
      }
    }

    // The first factor, whose rows are the product's depth.
    let (first, firstStride) =
      shape.isTransposed
      ? values(of: x, shape.input, pixels: pixels, columns: rows)
      : values(of: x, shape.input, shape, windows: pixels, columns: rows, into: patches)
    var (left, leftStride) = (first.start, firstStride)
    if paired {
      let pairs = pairs[thread].pointer
      pairs.withMemoryRebound(to: UInt32.self, capacity: words * rows.count) {
        rd_pair_rows(first.start, first.precision.bf16Flag, firstStride, depth, rows.count, $0, rows.count)
      }
      (left, leftStride) = (UnsafePointer(pairs), rows.count)
    }
    // Where pixels are used as they lie in memory.
    let isPixelwise = shape.kernel == 1 && shape.stride == 1
    var ahead = rd_ahead(
      isPixelwise || shape.isTransposed ? rd_area(x, pixels: next, of: shape.inputChannels, channels: rows) : nil,
      shape.isTransposed ? nil : rd_area(dy, pixels: next, of: shape.outputChannels, channels: columns))
    rd_multiply_panels(
      instructions.code, paired ? 1 : 0, left, 1, leftStride, panels, words * panelWidth, rows.count, columns.count,
      words, output, columns.count, adding ? 1 : 0, &ahead)
  }

  /// Some columns of the pixels of a map.
  private func values(of x: FeatureMap, _ map: ConvolutionShape.Map, pixels: Range<Int>, columns: Range<Int>)
    -> (map: FeatureMap, stride: Int)
  {
    (x.advanced(by: pixels.lowerBound * map.channels + columns.lowerBound), map.channels)
  }

  /// Some columns of the patches of a map, gathered where they do not lie in memory as they are.
  private func values(
    of x: FeatureMap, _ map: ConvolutionShape.Map, _ shape: ConvolutionShape, windows: Range<Int>,
    columns: Range<Int>, into patches: UnsafeMutablePointer<Float>
  ) -> (map: FeatureMap, stride: Int) {
    if shape.kernel == 1 && shape.stride == 1 { return values(of: x, map, pixels: windows, columns: columns) }
    let places = shape.isTransposed ? shape.input : shape.output
    rd_patches(
      x.start, map.height, map.width, x.words(map.channels), shape.kernel, shape.stride, -shape.padding, -shape.padding,
      places.height, places.width, windows.lowerBound, windows.count, x.words(columns.lowerBound),
      x.words(columns.count), patches)
    return (FeatureMap(patches, stored: x.precision), columns.count)
  }
}
