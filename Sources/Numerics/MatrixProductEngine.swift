import CVectorKernels

/// Convolutions the plain way, on OpenBLAS: the matrix of an image's patches (or of its pixels, for 1x1 kernels) times the weights.
///
/// One image at a time, since OpenBLAS's sums depend on the number of a product's rows.
public final class MatrixProductEngine: ConvolutionEngine, @unchecked Sendable {
  public let team: ThreadTeam
  /// For each thread, room for an image's patches.
  private let patches: [FloatBuffer]
  private let partials: ShardPartials

  public init(team: ThreadTeam) {
    self.team = team
    patches = (0..<team.count).map { _ in FloatBuffer() }
    partials = ShardPartials(team: team)
    useOneThreadPerMatrixProduct()
  }

  public var precision: Precision { .fp32 }
  public var name: String { "OpenBLAS, \(matrixProductCoreName())" }

  public func reserve(_ shape: ConvolutionShape, images: Int, shards: Int) {
    let matrix = PatchMatrix(shape)
    for buffer in patches { buffer.grow(to: matrix.rows * matrix.depth) }
    if shards > 0 { partials.reserve(shape.weightCount, shards: shards) }
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, x: FeatureMap, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    precondition(stored == .fp32)
    try team.run(images) { image, thread in
      let (x, y) = (x.floats + image * shape.inputCount, y + image * shape.outputCount)
      if shape.isTransposed {
        multiplyPixels(PatchMatrix(shape), x, weights, into: y, thread: thread)
      } else {
        multiplyPatches(PatchMatrix(shape), x, weights, into: y, thread: thread)
      }
    }
  }

  public func freeze(_ weights: [Float], of shape: ConvolutionShape, images: Int) throws -> FrozenWeights {
    FrozenWeights(plain: weights)
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: FrozenWeights, epilogue: Epilogue,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    try forward(
      shape, images: images, x: .fp32(x), weights: UnsafePointer(weights.buffer.pointer), into: y, stored: .fp32)
    let channels = shape.outputChannels
    try team.run(team.count) { part, _ in
      let pixels = evenRange(part, of: team.count, count: images * shape.outputPixels)
      epilogue.finish(
        y + pixels.lowerBound * channels, stride: channels, pixels: pixels, channels: 0..<channels,
        outputChannels: channels)
    }
  }

  public func inputGradient(
    _ shape: ConvolutionShape, images: Int, channels: Int, dy: FeatureMap, weights: UnsafePointer<Float>,
    adding: Bool, into dx: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    precondition(stored == .fp32)
    try team.run(images) { image, thread in
      let (dy, dx) = (dy.floats + image * shape.outputCount, dx + image * shape.inputCount)
      if shape.isTransposed {
        multiplyPatches(PatchMatrix(shape), dy, weights, adding: adding, into: dx, thread: thread)
      } else {
        multiplyPixels(PatchMatrix(shape), dy, weights, adding: adding, into: dx, thread: thread)
      }
    }
  }

  public func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: FeatureMap, dy: FeatureMap,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    let matrix = PatchMatrix(shape)
    try partials.weightGradient(shards: shards, blocks: 1, block: { _ in matrix.allWeights }, sum: sum) {
      images, _, thread, output in
      for image in images {
        let (x, dy) = (x.floats + image * shape.inputCount, dy.floats + image * shape.outputCount)
        let patches = patches(of: shape.isTransposed ? dy : x, matrix, thread: thread)
        let pixels = Matrix(start: shape.isTransposed ? x : dy, stride: matrix.columns)
        let (left, right) = shape.isTransposed ? (pixels, patches) : (patches, pixels)
        let width = shape.isTransposed ? matrix.depth : matrix.columns
        multiply(
          left.transposed, right, rows: shape.weightCount / width, columns: width, depth: matrix.rows, into: output,
          stride: width, adding: image > images.lowerBound)
      }
    }
  }

  public func largestBlock(_ shape: ConvolutionShape) -> Int {
    partials.largestPart(of: PatchMatrix(shape).allWeights)
  }
}

extension MatrixProductEngine {
  /// One place's patch after another. Of a transposed convolution the patches are the output's.
  private struct PatchMatrix {
    let shape: ConvolutionShape
    init(_ shape: ConvolutionShape) { self.shape = shape }

    var map: ConvolutionShape.Map { shape.isTransposed ? shape.output : shape.input }
    var places: ConvolutionShape.Map { shape.isTransposed ? shape.input : shape.output }
    var rows: Int { places.height * places.width }
    var depth: Int { shape.kernel * shape.kernel * map.channels }
    var columns: Int { places.channels }

    /// All weights, as one block.
    var allWeights: WeightBlock { WeightBlock(start: 0, rows: depth, rowStride: columns, columns: columns) }

    /// The weights, depth x columns.
    func weights(_ start: UnsafePointer<Float>) -> Matrix {
      shape.isTransposed ? Matrix(start: start, stride: depth).transposed : Matrix(start: start, stride: columns)
    }
  }

  private func patches(of x: UnsafePointer<Float>, _ matrix: PatchMatrix, thread: Int) -> Matrix {
    let (shape, map, patches) = (matrix.shape, matrix.map, patches[thread].pointer)
    rd_patches(
      x, map.height, map.width, map.channels, shape.kernel, shape.stride, -shape.padding, -shape.padding,
      matrix.places.height, matrix.places.width, 0, matrix.rows, 0, matrix.depth, patches)
    return Matrix(start: patches, stride: matrix.depth)
  }

  private func multiplyPatches(
    _ matrix: PatchMatrix, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, adding: Bool = false,
    into y: UnsafeMutablePointer<Float>, thread: Int
  ) {
    multiply(
      patches(of: x, matrix, thread: thread), matrix.weights(weights), rows: matrix.rows, columns: matrix.columns,
      depth: matrix.depth, into: y, stride: matrix.columns, adding: adding)
  }

  /// The adjoint: pixels become patches, and what patches have in common is added.
  private func multiplyPixels(
    _ matrix: PatchMatrix, _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>, adding: Bool = false,
    into y: UnsafeMutablePointer<Float>, thread: Int
  ) {
    let (shape, map, patches) = (matrix.shape, matrix.map, patches[thread].pointer)
    multiply(
      Matrix(start: x, stride: matrix.columns), matrix.weights(weights).transposed, rows: matrix.rows,
      columns: matrix.depth, depth: matrix.columns, into: patches, stride: matrix.depth)
    rd_patches_adjoint(
      patches, map.height, map.width, map.channels, shape.kernel, shape.stride, shape.padding, matrix.places.height,
      matrix.places.width, 1, adding ? 1 : 0, y)
  }
}
