import CVectorKernels

/// Convolutions as matrix products on OpenBLAS, single precision: a matrix of patches (or of pixels, for 1x1 kernels) times the weights.
public final class MatrixProductEngine: ConvolutionEngine, @unchecked Sendable {
  public let team: ThreadTeam

  /// For each thread, room for patches.
  private let patches: [FloatBuffer]
  private let winograd: WinogradConvolution

  /// What the patches of one block may take, in floats: half of it is a share of the second-level cache.
  private static let patchRoom = 1 << 19
  /// Pixels of one product in a weight gradient.
  private static let depthOfGradient = 512

  public init(team: ThreadTeam) {
    self.team = team
    patches = (0..<team.count).map { _ in FloatBuffer() }
    winograd = WinogradConvolution(team: team)
    useOneThreadPerMatrixProduct()
  }

  public func reserve(_ shape: ConvolutionShape, images: Int, shards: Int) {
    let geometry = Geometry(shape)
    var room = Self.depthOfGradient * (shape.isTransposed ? geometry.columns : largestBlockRows(geometry))
    for product in [geometry.forwardProduct, geometry.inputGradientProduct]
    where product.needsPatches || product.scatters {
      room = max(
        room, rowBlocks(product, images: images).longest * max(product.patchLength, product.columns))
    }
    if geometry.inputGradientIsScattered { room = max(room, shape.outputPixels * geometry.patchLength) }
    for buffer in patches { buffer.grow(to: room) }
    if WinogradConvolution.applies(to: shape) { winograd.reserve(shape, images: images) }
    if shards > 0, WinogradConvolution.appliesToWeightGradient(of: shape) {
      winograd.reserveWeightGradient(shape, shards: shards)
    }
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    if WinogradConvolution.applies(to: shape) {
      try winograd.forward(shape, images: images, x: x, weights: weights, into: y)
    } else {
      try multiplyPatches(
        Geometry(shape).forwardProduct, images: images, x: x,
        weights: Matrix(start: weights, stride: Geometry(shape).columns), into: y)
    }
  }

  public func inputGradient(
    _ shape: ConvolutionShape, images: Int, dy: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>
  ) throws {
    if WinogradConvolution.applies(to: shape) {
      try winograd.inputGradient(shape, images: images, dy: dy, weights: weights, into: dx)
    } else if Geometry(shape).inputGradientIsScattered {
      try scatterInputGradient(shape, images: images, dy: dy, weights: weights, into: dx)
    } else {
      try multiplyPatches(
        Geometry(shape).inputGradientProduct, images: images, x: dy,
        weights: Matrix(start: weights, stride: Geometry(shape).columns, isTransposed: true), into: dx)
    }
  }

  public func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    sum: (_ block: Range<Int>, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    if WinogradConvolution.appliesToWeightGradient(of: shape) {
      return try winograd.weightGradient(shape, shards: shards, x: x, dy: dy, sum: sum)
    }
    // Of a transposed convolution the pixels of x meet the patches of dy, of the others the patches of x the pixels of dy.
    let geometry = Geometry(shape)
    let blocks = weightBlocks(geometry)
    try team.run(blocks) { block, thread in
      let rows = evenRange(block, of: blocks, count: geometry.patchLength)
      try sum(rows.lowerBound * geometry.columns..<rows.upperBound * geometry.columns, thread) { shard, output in
        let images = shards[shard]
        if images.isEmpty {
          output.update(repeating: 0, count: rows.count * geometry.columns)
        } else {
          addProducts(geometry, images: images, rows: rows, x: x, dy: dy, thread: thread, into: output)
        }
      }
    }
  }

  public func largestBlock(_ shape: ConvolutionShape) -> Int {
    if WinogradConvolution.appliesToWeightGradient(of: shape) { return min(ShardPartials.block, shape.weightCount) }
    return largestBlockRows(Geometry(shape)) * Geometry(shape).columns
  }

  // MARK: Products

  /// y = patches of x * weights.
  private func multiplyPatches(
    _ product: Geometry.Product, images: Int, x: UnsafePointer<Float>, weights: Matrix,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    let blocks = rowBlocks(product, images: images)
    try team.run(blocks.count) { block, thread in
      let rows = blocks[block]
      var left = Matrix(start: x + rows.lowerBound * product.patchLength, stride: product.patchLength)
      if product.needsPatches {
        let patches = patches[thread].pointer
        rd_patches(
          x, product.height, product.width, product.channels, product.kernel, product.stride, product.padding,
          product.rowsHigh, product.rowsWide, rows.lowerBound, rows.count, patches)
        left = Matrix(start: patches, stride: product.patchLength)
      }
      if product.scatters {
        // Each row becomes a block of pixels.
        let patches = patches[thread].pointer
        multiply(
          left, weights, rows: rows.count, columns: product.columns, depth: product.patchLength, into: patches,
          stride: product.columns)
        rd_place_patches(
          patches, product.rowsWide, product.scatteredChannels, product.scatterFactor, rows.lowerBound, rows.count, y)
      } else {
        multiply(
          left, weights, rows: rows.count, columns: product.columns, depth: product.patchLength,
          into: y + rows.lowerBound * product.columns, stride: product.columns)
      }
    }
  }

  /// dx = the sums of the patches dy * weights' that cover each pixel, for one image at a time.
  private func scatterInputGradient(
    _ shape: ConvolutionShape, images: Int, dy: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>
  ) throws {
    let geometry = Geometry(shape)
    try team.run(images) { image, thread in
      let patches = patches[thread].pointer
      multiply(
        Matrix(start: dy + image * shape.outputCount, stride: shape.outputChannels),
        Matrix(start: weights, stride: geometry.columns, isTransposed: true), rows: shape.outputPixels,
        columns: geometry.patchLength, depth: shape.outputChannels, into: patches, stride: geometry.patchLength)
      rd_patches_adjoint(
        patches, shape.inputHeight, shape.inputWidth, shape.inputChannels, shape.kernel, shape.stride, shape.padding,
        shape.outputHeight, shape.outputWidth, 1, dx + image * shape.inputCount)
    }
  }

  /// Rows `rows` of the weights' gradient over some images.
  private func addProducts(
    _ geometry: Geometry, images: Range<Int>, rows: Range<Int>, x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    thread: Int, into output: UnsafeMutablePointer<Float>
  ) {
    let shape = geometry.shape
    let buffer = patches[thread].pointer
    let pixels = images.lowerBound * geometry.pixels..<images.upperBound * geometry.pixels
    for first in stride(from: pixels.lowerBound, to: pixels.upperBound, by: Self.depthOfGradient) {
      let count = min(Self.depthOfGradient, pixels.upperBound - first)
      let left: Matrix
      let right: Matrix
      if shape.isTransposed {
        rd_patch_columns(
          dy, shape.outputHeight, shape.outputWidth, shape.outputChannels, shape.kernel, shape.stride, 0,
          shape.inputHeight, shape.inputWidth, first, count, 0, geometry.columns, buffer)
        left = Matrix(
          start: x + first * shape.inputChannels + rows.lowerBound, stride: shape.inputChannels, isTransposed: true)
        right = Matrix(start: buffer, stride: geometry.columns)
      } else {
        if geometry.forwardProduct.needsPatches {
          rd_patch_columns(
            x, shape.inputHeight, shape.inputWidth, shape.inputChannels, shape.kernel, shape.stride, shape.padding,
            shape.outputHeight, shape.outputWidth, first, count, rows.lowerBound, rows.count, buffer)
          left = Matrix(start: buffer, stride: rows.count, isTransposed: true)
        } else {
          left = Matrix(
            start: x + first * shape.inputChannels + rows.lowerBound, stride: shape.inputChannels, isTransposed: true)
        }
        right = Matrix(start: dy + first * shape.outputChannels, stride: shape.outputChannels)
      }
      multiply(
        left, right, rows: rows.count, columns: geometry.columns, depth: count, into: output, stride: geometry.columns,
        adding: first > pixels.lowerBound)
    }
  }

  // MARK: Blocks

  private func rowBlocks(_ product: Geometry.Product, images: Int) -> RowBlocks {
    let longest = max(product.patchLength, product.scatters ? product.columns : 0)
    return RowBlocks(
      images: images, rowsPerImage: product.rowsHigh * product.rowsWide, columns: product.columns,
      depth: product.patchLength, preferred: min(max(Self.patchRoom / longest, 192), 1024))
  }

  private func weightBlocks(_ geometry: Geometry) -> Int {
    let rows = min(max(196_608 / geometry.columns, 96), 384)
    return (geometry.patchLength + rows - 1) / rows
  }

  private func largestBlockRows(_ geometry: Geometry) -> Int {
    let blocks = weightBlocks(geometry)
    return (geometry.patchLength + blocks - 1) / blocks
  }
}

/// A convolution as products: what is gathered, what is multiplied.
private struct Geometry {
  let shape: ConvolutionShape

  init(_ shape: ConvolutionShape) { self.shape = shape }

  /// The weights as a matrix: `patchLength` x `columns`.
  var patchLength: Int {
    shape.isTransposed ? shape.inputChannels : shape.kernel * shape.kernel * shape.inputChannels
  }
  var columns: Int { shape.weightCount / patchLength }
  /// Rows of one image's product.
  var pixels: Int { shape.isTransposed ? shape.inputPixels : shape.outputPixels }

  /// Whether the input's gradient is made of overlapping or scattered patches.
  var inputGradientIsScattered: Bool { !shape.isTransposed && (shape.stride > 1 || shape.kernel > 1) }

  /// Rows made of patches of an image, times a matrix.
  struct Product {
    /// The image that is read.
    let height, width, channels: Int
    /// How its patches lie.
    let kernel, stride, padding: Int
    /// One row for each of these places.
    let rowsHigh, rowsWide: Int
    let columns: Int
    /// Where above 1, each row of the result is a block of this side in the output.
    var scatterFactor = 1

    var patchLength: Int { kernel * kernel * channels }
    /// Whether the patches are something else than the image as it lies in memory.
    var needsPatches: Bool { kernel > 1 || stride > 1 }
    var scatters: Bool { scatterFactor > 1 }
    var scatteredChannels: Int { columns / (scatterFactor * scatterFactor) }
  }

  var forwardProduct: Product {
    shape.isTransposed
      ? Product(
        height: shape.inputHeight, width: shape.inputWidth, channels: shape.inputChannels, kernel: 1, stride: 1,
        padding: 0, rowsHigh: shape.inputHeight, rowsWide: shape.inputWidth, columns: columns,
        scatterFactor: shape.kernel)
      : Product(
        height: shape.inputHeight, width: shape.inputWidth, channels: shape.inputChannels, kernel: shape.kernel,
        stride: shape.stride, padding: shape.padding, rowsHigh: shape.outputHeight, rowsWide: shape.outputWidth,
        columns: columns)
  }

  /// The input gradient, where it is not scattered.
  var inputGradientProduct: Product {
    Product(
      height: shape.outputHeight, width: shape.outputWidth, channels: shape.outputChannels, kernel: shape.kernel,
      stride: shape.stride, padding: 0, rowsHigh: shape.inputHeight, rowsWide: shape.inputWidth,
      columns: shape.inputChannels)
  }
}
