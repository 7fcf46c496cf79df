/// Convolutions by this project's own kernels: 3x3 ones by Winograd's minimal filtering where that is faster, the others as products of patches; in
/// either case with factors of the precision asked for.
///
/// Every number is one chain of multiply-adds, whatever is computed beside it, so block sizes are free to follow the shape, the cache and the
/// number of threads.
public final class VectorEngine: ConvolutionEngine, @unchecked Sendable {
  public let team: ThreadTeam
  public let precision: Precision
  public let instructions: Instructions
  private let winograd: WinogradConvolution
  private let patches: PatchConvolution
  private let patchGradients: PatchWeightGradient

  public init(team: ThreadTeam, precision: Precision = .fp32, instructions: Instructions = .best) {
    self.team = team
    self.precision = precision
    self.instructions = instructions
    let partials = ShardPartials(team: team)
    winograd = WinogradConvolution(
      team: team, precision: precision, instructions: instructions, partials: partials)
    patches = PatchConvolution(team: team, precision: precision, instructions: instructions)
    patchGradients = PatchWeightGradient(
      team: team, precision: precision, instructions: instructions, partials: partials)
  }

  public var name: String {
    "vector kernels, \(precision.rawValue), \(instructions)"
  }

  /// Whether a shape goes Winograd's way to its output, and back to its input's gradient. It must be a matter of the shape alone, lest an
  /// image's bits depend on its company.
  /// - Parameter frozen: weights that are not transformed for a whole batch, but for an image or a few; or kept so, in bf16, for twice the memory.
  private func usesWinograd(_ shape: ConvolutionShape, frozen: Bool = false) -> Bool {
    guard WinogradConvolution.applies(to: shape), !(hasMatrixUnit && shape.stride == 2) else { return false }
    guard frozen else { return true }
    let tiles = WinogradConvolution.tilesPerImage(shape)
    return precision == .bf16 ? tiles >= 16 && shape.weightCount <= 1 << 20 : tiles >= 4
  }

  /// The same of the weights' gradient, whose products are as long as a shard has tiles. Of few tiles they are soon done, and what is left is
  /// reading and writing many planes of many weights.
  private func weightGradientUsesWinograd(_ shape: ConvolutionShape) -> Bool {
    let tiles = WinogradConvolution.tilesPerImage(shape)
    let isShort = hasMatrixUnit ? tiles <= 4 : shape.stride == 2 && tiles <= 16 && shape.weightCount >= 9 * 512 * 512
    return usesWinograd(shape) && !isShort
  }

  /// It multiplies so fast that saving products is worth less than what transforms take.
  private var hasMatrixUnit: Bool { precision == .bf16 && instructions == .amx }

  public func reserve(_ shape: ConvolutionShape, images: Int, shards: Int) {
    let isTraining = shards > 0
    if usesWinograd(shape, frozen: !isTraining) {
      winograd.reserve(shape, images: images, isTraining: isTraining)
    } else {
      patches.reserve(shape, images: images, isTraining: isTraining)
    }
    guard isTraining else { return }
    if weightGradientUsesWinograd(shape) {
      winograd.reserveWeightGradient(shape, images: images, shards: shards)
    } else {
      patchGradients.reserve(shape, shards: shards)
    }
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, x: FeatureMap, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    if usesWinograd(shape) {
      try winograd.forward(shape, images: images, x: x, weights: weights, into: y, stored: stored)
    } else {
      try patches.forward(shape, images: images, x: x, weights: weights, into: y, stored: stored)
    }
  }

  public func freeze(_ weights: [Float], of shape: ConvolutionShape, images: Int) throws -> FrozenWeights {
    try usesWinograd(shape, frozen: true)
      ? winograd.freeze(weights, of: shape, images: images) : patches.freeze(weights, of: shape)
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: FrozenWeights, epilogue: Epilogue,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    if usesWinograd(shape, frozen: true) {
      try winograd.forward(shape, images: images, x: .fp32(x), weights: weights, epilogue: epilogue, into: y)
    } else {
      try patches.forward(
        shape, images: images, x: .fp32(x), packed: weights.buffer.pointer, epilogue: epilogue, into: y)
    }
  }

  public func inputGradient(
    _ shape: ConvolutionShape, images: Int, channels: Int, dy: FeatureMap, weights: UnsafePointer<Float>,
    adding: Bool, into dx: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    precondition(stored == .fp32 || !adding && channels == shape.inputChannels && channels % 2 == 0)
    if usesWinograd(shape) {
      try winograd.inputGradient(
        shape, images: images, channels: channels, dy: dy, weights: weights, adding: adding, into: dx,
        stored: stored)
    } else {
      try patches.inputGradient(
        shape, images: images, channels: channels, dy: dy, weights: weights, adding: adding, into: dx,
        stored: stored)
    }
  }

  public func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: FeatureMap, dy: FeatureMap,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    if weightGradientUsesWinograd(shape) {
      try winograd.weightGradient(shape, shards: shards, x: x, dy: dy, sum: sum)
    } else {
      try patchGradients.weightGradient(shape, shards: shards, x: x, dy: dy, sum: sum)
    }
  }

  public func largestBlock(_ shape: ConvolutionShape) -> Int {
    weightGradientUsesWinograd(shape) ? winograd.largestBlock(shape) : patchGradients.largestBlock(shape)
  }
}
