import CVectorKernels

/// Convolutions as products of patches with weights in panels, in fp32 or bf16.
final class PatchConvolution {
  private let team: ThreadTeam
  private let instructions: Instructions
  private let precision: Precision
  /// The present pass's weights in panels.
  private let weights = FloatBuffer()
  /// All patches of a pass over few places.
  private let gathered = FloatBuffer()
  // For each thread: patches as they are, and in pairs of bf16; a block of the second factor; a block of the result.
  private let patches: [FloatBuffer]
  private let pairs: [FloatBuffer]
  private let panels: [FloatBuffer]
  private let results: [FloatBuffer]
  private let partials: ShardPartials
  private var passes: [ConvolutionShape: (forward: [PatchProduct], inputGradient: [PatchProduct])] = [:]

  /// Places of a block: their patches fill a good part of the second-level cache.
  private static let rows = 192
  /// Values of a patch that are gathered at a time.
  private static let stretch = 512
  /// Channels of a block where there are too few places to keep the threads busy.
  private static let fewColumns = 64
  // Of a weight gradient: the sides of a block, large since its factors are packed for it alone, and pixels at a time.
  private static let gradientSide = 512
  private static let gradientDepth = 128

  init(team: ThreadTeam, precision: Precision, instructions: Instructions) {
    self.team = team
    self.instructions = instructions
    self.precision = precision
    func buffers() -> [FloatBuffer] { (0..<team.count).map { _ in FloatBuffer() } }
    (patches, pairs, panels, results) = (buffers(), buffers(), buffers(), buffers())
    partials = ShardPartials(team: team)
  }

  func reserve(_ shape: ConvolutionShape, images: Int, isTraining: Bool) {
    let pass = (PatchProduct.forward(shape), PatchProduct.inputGradient(shape))
    passes[shape] = pass
    let columns = max(shape.inputChannels, shape.outputChannels)
    // A rank may have fewer images in the last step of an epoch, and then few places.
    for product in pass.0 + (isTraining ? pass.1 : []) where !product.isPixelwise || factors(product) == .bf16 {
      let places = min(images * product.rowsPerImage, fewPlaces)
      gathered.grow(to: places * factors(product).words(product.depth))
    }
    for buffer in results { buffer.grow(to: Self.rows * columns) }
    reserveBlocks()
    if isTraining { weights.grow(to: max(packedCount(pass.0), packedCount(pass.1))) }
  }

  private func reserveBlocks() {
    let block = max(Self.rows * Self.stretch, Self.gradientDepth * Self.gradientSide)
    for buffer in patches { buffer.grow(to: block) }
    if precision == .bf16 { for buffer in pairs { buffer.grow(to: block / 2) } }
  }

  func reserveWeightGradient(_ shape: ConvolutionShape, shards: Int) {
    reserveBlocks()
    for buffer in panels { buffer.grow(to: Self.gradientDepth * Self.gradientSide) }
    let gradient = Gradient(shape: shape)
    if gradient.isOfManyPixels { partials.reserve(Blocks(gradient, atLeast: 1).largest, shards: shards) }
  }

  // MARK: Forward and input gradient

  func forward(
    _ shape: ConvolutionShape, images: Int, x: FeatureMap, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    let products = pass(shape).forward
    try pack(weights, for: products, into: self.weights.pointer)
    try multiply(products, images: images, x: x, packed: self.weights.pointer, into: y, stored: stored)
  }

  func freeze(_ weights: [Float], of shape: ConvolutionShape) throws -> FrozenWeights {
    let products = PatchProduct.forward(shape)
    let packed = FloatBuffer(packedCount(products))
    try weights.withUnsafeBufferPointer {
      if let start = $0.baseAddress { try pack(start, for: products, into: packed.pointer) }
    }
    return FrozenWeights(buffer: packed)
  }

  /// - Parameter packed: as ``freeze(_:of:)`` made them.
  func forward(
    _ shape: ConvolutionShape, images: Int, x: FeatureMap, packed: UnsafePointer<Float>,
    epilogue: Epilogue, into y: UnsafeMutablePointer<Float>
  ) throws {
    try multiply(pass(shape).forward, images: images, x: x, packed: packed, epilogue: epilogue, into: y)
  }

  func inputGradient(
    _ shape: ConvolutionShape, images: Int, channels: Int, dy: FeatureMap, weights: UnsafePointer<Float>,
    adding: Bool, into dx: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    let products = pass(shape).inputGradient
    if products.count < shape.stride * shape.stride && !shape.isTransposed && !adding {
      let count = stored.words(shape.inputCount)
      try team.run(images) { image, _ in (dx + image * count).update(repeating: 0, count: count) }
    }
    try pack(weights, for: products, into: self.weights.pointer)
    try multiply(
      products, images: images, columns: channels, x: dy, packed: self.weights.pointer, adding: adding, into: dx,
      stored: stored)
  }

  private func pass(_ shape: ConvolutionShape) -> (forward: [PatchProduct], inputGradient: [PatchProduct]) {
    guard let pass = passes[shape] else { preconditionFailure("a shape that was not reserved") }
    return pass
  }

  /// What a product's factors are in: pairs need an even number of channels.
  private func factors(_ product: PatchProduct) -> Precision { product.channels % 2 == 0 ? precision : .fp32 }

  private func packedCount(_ product: PatchProduct) -> Int {
    factors(product).words(product.depth) * panelColumns(product.columns)
  }

  private func packedCount(_ products: [PatchProduct]) -> Int { products.reduce(0) { $0 + packedCount($1) } }

  private func pack(
    _ weights: UnsafePointer<Float>, for products: [PatchProduct], into packed: UnsafeMutablePointer<Float>
  ) throws {
    var start = packed
    for product in products {
      let factors = factors(product)
      let (channels, panel) = (product.channels, factors.words(product.depth) * panelWidth)
      let wide = parts(of: product.columns, size: panelWidth)
      try team.run(product.taps.count * wide) { item, _ in
        let (tap, first) = (item / wide, item % wide * panelWidth)
        let source = weights + product.taps[tap] + first * product.columnStride
        let target = start + first / panelWidth * panel + factors.words(tap * channels) * panelWidth
        let columns = min(panelWidth, product.columns - first)
        if factors == .bf16 {
          target.withMemoryRebound(to: UInt32.self, capacity: channels / 2 * panelWidth) {
            if product.columnStride == 1 {
              rd_pair_panels(source, 0, product.rowStride, channels, columns, $0, panel)
            } else {
              rd_pair_turned_panels(source, product.columnStride, channels, columns, $0, panel)
            }
          }
        } else {
          rd_pack_panels(source, product.rowStride, product.columnStride, channels, columns, target, panel)
        }
      }
      start += packedCount(product)
    }
  }

  private func multiply(
    _ products: [PatchProduct], images: Int, columns: Int? = nil, x: FeatureMap, packed: UnsafePointer<Float>,
    epilogue: Epilogue? = nil, adding: Bool = false, into y: UnsafeMutablePointer<Float>, stored: Precision = .fp32
  ) throws {
    precondition(stored == .fp32 || epilogue == nil && !adding)
    var start = packed
    for product in products {
      let rows = images * product.rowsPerImage
      let blocks = parts(of: rows, size: Self.rows)
      let columns = columns ?? product.columns
      if isOfFewPlaces(product, images: images) {
        try gather(product, rows: rows, x: x)
        let wide = parts(of: columns, size: Self.fewColumns)
        try team.run(blocks * wide) { item, thread in
          multiply(
            product, places: evenRange(item % blocks, of: blocks, count: rows),
            columns: panelRange(item / blocks, of: wide, columns: columns), x: x, isGathered: true,
            packed: start, epilogue: epilogue, adding: adding, ahead: rd_ahead(), thread: thread, into: y,
            stored: stored)
        }
      } else {
        try team.run(blocks) { block, thread in
          let places = evenRange(block, of: blocks, count: rows)
          // The threads take turns.
          let next = block + team.count
          let ahead = rd_ahead(
            next < blocks
              ? rd_area(
                x,
                pixels: product.source.pixels(
                  under: evenRange(next, of: blocks, count: rows), of: product.rowsPerImage), of: product.channels)
              : nil)
          multiply(
            product, places: places, columns: 0..<columns, x: x,
            isGathered: false, packed: start, epilogue: epilogue, adding: adding, ahead: ahead, thread: thread, into: y,
            stored: stored)
        }
      }
      start += packedCount(product)
    }
  }

  /// Whether blocks of places are too few to keep the threads busy. Then each is cut into blocks of channels, and patches, which all of these need,
  /// are gathered once.
  private func isOfFewPlaces(_ product: PatchProduct, images: Int) -> Bool {
    images * product.rowsPerImage < fewPlaces
  }

  private var fewPlaces: Int { 2 * team.count * Self.rows }

  private func gather(_ product: PatchProduct, rows: Int, x: FeatureMap) throws {
    let isPaired = factors(product) == x.precision
    if product.isPixelwise && isPaired { return }
    let depth = product.depth
    let chunks = min(rows, 4 * team.count)
    try team.run(chunks) { chunk, thread in
      let places = evenRange(chunk, of: chunks, count: rows)
      if isPaired {
        return gather(product, places, 0..<depth, x: x, into: gathered.pointer + places.lowerBound * x.words(depth))
      }
      let words = depth / 2
      for first in stride(from: 0, to: depth, by: Self.stretch) {
        let some = first..<min(first + Self.stretch, depth)
        for start in stride(from: places.lowerBound, to: places.upperBound, by: Self.rows) {
          let few = start..<min(start + Self.rows, places.upperBound)
          pair(
            product, few, some, x: x, thread: thread, into: gathered.pointer + start * words + first / 2, stride: words)
        }
      }
    }
  }

  /// Some values of the patches of some places, in rows of as many.
  private func gather(
    _ product: PatchProduct, _ places: Range<Int>, _ values: Range<Int>, x: FeatureMap,
    into patches: UnsafeMutablePointer<Float>
  ) {
    rd_patches(
      x.start, product.height, product.width, x.words(product.channels), product.windowWidth, product.stride,
      product.top, product.left, product.rowsHigh, product.rowsWide, places.lowerBound, places.count,
      x.words(values.lowerBound), x.words(values.count), patches)
  }

  /// The same of single precision, in pairs of bf16.
  private func pair(
    _ product: PatchProduct, _ places: Range<Int>, _ values: Range<Int>, x: FeatureMap, thread: Int,
    into pairs: UnsafeMutablePointer<Float>, stride: Int
  ) {
    var (source, sourceStride) = (x.start + places.lowerBound * product.depth + values.lowerBound, product.depth)
    if !product.isPixelwise {
      let patches = patches[thread].pointer
      gather(product, places, values, x: x, into: patches)
      (source, sourceStride) = (UnsafePointer(patches), values.count)
    }
    pairs.withMemoryRebound(to: UInt32.self, capacity: values.count / 2) {
      rd_pair_columns(source, sourceStride, places.count, values.count, $0, stride)
    }
  }

  /// Some values of the patches of some places, as a product takes them: where they are, or copied.
  private func values(
    _ product: PatchProduct, _ places: Range<Int>, _ values: Range<Int>, x: FeatureMap, isGathered: Bool, thread: Int
  ) -> (start: UnsafePointer<Float>, stride: Int) {
    let factors = factors(product)
    let (depth, count) = (factors.words(product.depth), factors.words(values.count))
    let offset = places.lowerBound * depth + factors.words(values.lowerBound)
    if product.isPixelwise && factors == x.precision { return (x.start + offset, depth) }
    if isGathered { return (UnsafePointer(gathered.pointer) + offset, depth) }
    if factors == x.precision {
      gather(product, places, values, x: x, into: patches[thread].pointer)
      return (UnsafePointer(patches[thread].pointer), count)
    }
    pair(product, places, values, x: x, thread: thread, into: pairs[thread].pointer, stride: count)
    return (UnsafePointer(pairs[thread].pointer), count)
  }

  /// Some places and columns of a product.
  private func multiply(
    _ product: PatchProduct, places: Range<Int>, columns: Range<Int>, x: FeatureMap, isGathered: Bool,
    packed: UnsafePointer<Float>, epilogue: Epilogue?, adding: Bool, ahead: rd_ahead, thread: Int,
    into y: UnsafeMutablePointer<Float>, stored: Precision
  ) {
    var ahead = ahead
    let factors = factors(product)
    let (rows, depth, width) = (places.count, product.depth, product.columns)
    let panel = factors.words(depth) * panelWidth
    let panels = packed + columns.lowerBound / panelWidth * panel
    let isInPlace = product.isDense && stored == .fp32
    let (target, stride) =
      isInPlace
      ? (y + places.lowerBound * width + columns.lowerBound, width) : (results[thread].pointer, columns.count)
    for first in Swift.stride(from: 0, to: depth, by: Self.stretch) {
      let some = first..<min(first + Self.stretch, depth)
      let (values, valueStride) = values(product, places, some, x: x, isGathered: isGathered, thread: thread)
      rd_multiply_panels(
        instructions.code, factors.bf16Flag, values, valueStride, 1, panels + factors.words(first) * panelWidth, panel,
        rows, columns.count, factors.words(some.count), target, stride, first > 0 || adding && isInPlace ? 1 : 0,
        &ahead)
    }
    if stored == .bf16 {
      // To where they go, or in place.
      let (halves, halvesStride) =
        product.isDense
        ? (y + (places.lowerBound * width + columns.lowerBound) / 2, width / 2) : (target, columns.count / 2)
      halves.withMemoryRebound(to: UInt32.self, capacity: rows * halvesStride) {
        rd_pair_columns(target, stride, rows, columns.count, $0, halvesStride)
      }
    } else {
      // What is upsampled here has no residual.
      epilogue?.finish(
        target, stride: stride, pixels: product.isDense ? places : 0..<rows, channels: columns, outputChannels: width)
    }
    if !product.isDense {
      rd_place_rows(
        target, stored.words(columns.count), product.rowsHigh, product.rowsWide, places.lowerBound, rows,
        adding ? 1 : 0, y + stored.words(columns.lowerBound), product.targetHeight, product.targetWidth,
        stored.words(width), product.targetStride, product.targetTop, product.targetLeft)
    }
  }

  // MARK: Weight gradient

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
      high = parts(of: gradient.rows, size: gradientSide)
      wide = parts(of: gradient.columns, size: gradientSide)
      while high * wide < count, gradient.columns / wide >= 2 * fewColumns { wide *= 2 }
      while high * wide < count, gradient.rows / high >= 2 * fewColumns { high *= 2 }
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
      for first in stride(from: pixels.lowerBound, to: pixels.upperBound, by: Self.gradientDepth) {
        let some = first..<min(first + Self.gradientDepth, pixels.upperBound)
        let next = some.upperBound..<min(some.upperBound + Self.gradientDepth, pixels.upperBound)
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
