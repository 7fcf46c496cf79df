import Numerics

/// A convolution whose batch normalisation has been folded into its weights and a bias: running statistics, nothing learnt.
public final class FrozenConvolution: ConvolutionUnit {
  /// The tensors of one convolution and its normalisation, as PyTorch stores them.
  public struct Tensors {
    public var weight: [Float]
    public var scale: [Float]
    public var shift: [Float]
    public var runningMean: [Float]
    public var runningVariance: [Float]

    public init(
      weight: [Float], scale: [Float], shift: [Float], runningMean: [Float], runningVariance: [Float]
    ) {
      self.weight = weight
      self.scale = scale
      self.shift = shift
      self.runningMean = runningMean
      self.runningVariance = runningVariance
    }
  }

  public let shape: ConvolutionShape
  private let engine: any ConvolutionEngine
  private let weights: FrozenWeights
  private let bias: FloatBuffer
  private let activation: Activation

  /// - Parameter images: the most images at a time.
  public init(_ unit: UnitDescription, _ tensors: Tensors, engine: any ConvolutionEngine, images: Int) throws {
    shape = unit.shape
    activation = unit.activation
    self.engine = engine
    let channels = shape.outputChannels
    let factors = (0..<channels).map {
      Double(tensors.scale[$0]) / (Double(tensors.runningVariance[$0]) + unit.epsilon).squareRoot()
    }
    var folded = shape.weights(fromTorch: tensors.weight)
    for index in folded.indices { folded[index] = Float(Double(folded[index]) * factors[index % channels]) }
    weights =
      shape.isDepthwise ? FrozenWeights(plain: folded) : try engine.freeze(folded, of: shape, images: images)
    bias = FloatBuffer(
      (0..<channels).map { Float(Double(tensors.shift[$0]) - Double(tensors.runningMean[$0]) * factors[$0]) })
    if !shape.isDepthwise { engine.reserve(shape, images: images, shards: 0) }
  }

  public func forward(
    _ x: FeatureMap, images: Int, residual: FeatureMap?, into y: UnsafeMutablePointer<Float>, stored: Precision,
    stride: Int
  ) throws {
    precondition(stored == .fp32)
    let (x, residual) = (x.floats, residual?.floats)
    let channels = shape.outputChannels
    // Through memory of the output's own where that is not dense.
    precondition(stride == channels || residual == nil)
    let dense = stride == channels ? y : scratch(images)
    let epilogue = Epilogue(bias: bias.pointer, residual: residual, activation: activation)
    if shape.isDepthwise {
      try engine.team.depthwise(shape, images: images, x: x, weights: weights.plain, epilogue: epilogue, into: dense)
    } else {
      try engine.forward(shape, images: images, x: x, weights: weights, epilogue: epilogue, into: dense)
    }
    guard stride > channels else { return }
    let parts = engine.team.count
    try engine.team.run(parts) { part, _ in
      for pixel in evenRange(part, of: parts, count: images * shape.outputPixels) {
        (y + pixel * stride).update(from: dense + pixel * channels, count: channels)
      }
    }
  }

  public var hiddenPrecision: Precision { .fp32 }

  private let denseOutput = FloatBuffer()

  private func scratch(_ images: Int) -> UnsafeMutablePointer<Float> {
    denseOutput.grow(to: images * shape.outputCount)
    return denseOutput.pointer
  }
}
