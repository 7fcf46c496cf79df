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
  // For each thread: patches as they are, and in pairs of bf16; a block of the result.
  private let patches: [FloatBuffer]
  private let pairs: [FloatBuffer]
  private let results: [FloatBuffer]
  private var passes: [ConvolutionShape: (forward: [PatchProduct], inputGradient: [PatchProduct])] = [:]

  /// Places of a block: their patches fill a good part of the second-level cache.
  private static let rows = 192
  /// Values of a patch that are gathered at a time.
  private static let stretch = 512
  /// Channels of a block where there are too few places to keep the threads busy.
  static let fewColumns = 64

  init(team: ThreadTeam, precision: Precision, instructions: Instructions) {
    self.team = team
    self.instructions = instructions
    self.precision = precision
    func buffers() -> [FloatBuffer] { (0..<team.count).map { _ in FloatBuffer() } }
    (patches, pairs, results) = (buffers(), buffers(), buffers())
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
    for buffer in patches { buffer.grow(to: Self.rows * Self.stretch) }
    if precision == .bf16 { for buffer in pairs { buffer.grow(to: Self.rows * Self.stretch / 2) } }
    if isTraining { weights.grow(to: max(packedCount(pass.0), packedCount(pass.1))) }
  }

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
    let isStored = factors(product) == x.precision
    if product.isPixelwise && isStored { return }
    let depth = product.depth
    let chunks = min(rows, 4 * team.count)
    try team.run(chunks) { chunk, thread in
      let places = evenRange(chunk, of: chunks, count: rows)
      if isStored {
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
}
