import CVectorKernels
import Numerics

/// A convolution with batch normalisation over the whole batch of all ranks, trained.
public final class NormalizedConvolution: ConvolutionUnit {
  public let shape: ConvolutionShape
  private let name: String
  private let activation: Activation
  private let epsilon: Double
  private let step: TrainingStep

  // Places in the arenas.
  private let weights: Int
  private let scale: Int
  private let shift: Int
  private let runningMean: Int
  private let runningVariance: Int

  /// The place of the convolution's output, images x H x W x C; after the backward pass of its gradient. Nil where it is not kept.
  private let output: Int?
  /// How it is stored.
  private let precision: Precision
  /// Whether the last forward pass added one.
  private var hasResidual = false
  // What forward keeps for backward, by channel.
  private let mean: FloatBuffer
  private let inverseDeviation: FloatBuffer
  // By channel, what makes the normalised output of the convolution's: the output times a factor, and a shift.
  private let factors: FloatBuffer
  private let shifts: FloatBuffer
  // The coefficients of the backward pass, by channel.
  private let a: FloatBuffer
  private let b: FloatBuffer
  private let c: FloatBuffer

  private static let momentum = 0.1

  private var channels: Int { shape.outputChannels }

  public init(_ description: UnitDescription, step: TrainingStep) {
    precondition(description.activation != .relu6 && !description.shape.isDepthwise)
    shape = description.shape
    activation = description.activation
    epsilon = description.epsilon
    self.step = step
    let parameters = step.parameters
    let channels = shape.outputChannels
    name = description.normalization
    weights = parameters.weights.claimWeights("\(description.convolution).weight", of: shape)
    scale = parameters.affine.claimVector("\(name).weight", count: channels)
    shift = parameters.affine.claimVector("\(name).bias", count: channels)
    runningMean = parameters.statistics.claimVector("\(name).running_mean", count: channels)
    runningVariance = parameters.statistics.claimVector("\(name).running_var", count: channels)
    // What products round their factors to; here what is normalised, and added as a residual, is rounded as well.
    precision = channels % 2 == 0 ? step.engine.precision : .fp32
    let count = precision.words(step.capacity * shape.outputCount)
    output = precision == .fp32 && Self.isSoonComputed(shape) ? nil : step.memory.claimOutput(count, weightsAt: weights)
    if output == nil { step.passingOutput.buffer.grow(to: count) }
    (mean, inverseDeviation) = (FloatBuffer(channels), FloatBuffer(channels))
    (factors, shifts) = (FloatBuffer(channels), FloatBuffer(channels))
    (a, b, c) = (FloatBuffer(channels), FloatBuffer(channels), FloatBuffer(channels))
    step.reserve(shape)
  }

  /// Whether the output is computed again for the backward pass, rather than kept: in single precision it takes many times the memory of the input,
  /// and little work.
  private static func isSoonComputed(_ shape: ConvolutionShape) -> Bool {
    shape.kernel == 1 && shape.stride == 1 && shape.inputChannels < shape.outputChannels && shape.inputChannels <= 128
  }

  /// Whether ``forwardAgain(_:residual:into:stored:)`` can do without the input of the forward pass.
  var keepsOutput: Bool { output != nil }

  public var hiddenPrecision: Precision { precision }

  private var z: UnsafeMutablePointer<Float> {
    output.map { step.memory.outputs + $0 } ?? step.passingOutput.buffer.pointer
  }

  private func convolve(_ x: FeatureMap) throws {
    try step.engine.forward(
      shape, images: step.images, x: x, weights: step.parameters.weights.values + weights, into: z, stored: precision)
    if output == nil { step.passingOutput.holder = ObjectIdentifier(self) }
  }

  /// Computes the convolution's output again, if it is not there any more.
  /// - Parameter x: the input of the forward pass.
  private func recall(_ x: FeatureMap) throws {
    if output == nil && step.passingOutput.holder != ObjectIdentifier(self) { try convolve(x) }
  }

  /// Normalises by the batch's mean and variance, and moves the running ones towards them (PyTorch's rules: the running variance is
  /// unbiased, the other one is not).
  public func forward(
    _ x: FeatureMap, images: Int, residual: FeatureMap?, into y: UnsafeMutablePointer<Float>, stored: Precision,
    stride: Int
  ) throws {
    let (channels, size, pixels, z) = (channels, shape.outputCount, shape.outputPixels, z)
    hasResidual = residual != nil
    try convolve(x)
    let sums = try step.sumOverBatch(2 * channels) { images, sums in
      rd_channel_moments(
        z + precision.words(images.lowerBound * size), precision.bf16Flag, images.count * pixels, channels, sums,
        sums + channels)
    }

    let (affine, statistics) = (step.parameters.affine.values, step.parameters.statistics.values)
    let count = Double(step.batch * pixels)
    try requireFinite(sums, of: FeatureMap(z, stored: precision), stride: channels)
    for channel in 0..<channels {
      let mean = sums[channel] / count
      let variance = max(sums[channels + channel] / count - mean * mean, 0)
      let inverseDeviation = 1 / (variance + epsilon).squareRoot()
      let factor = Double(affine[scale + channel]) * inverseDeviation
      self.mean.pointer[channel] = Float(mean)
      self.inverseDeviation.pointer[channel] = Float(inverseDeviation)
      factors.pointer[channel] = Float(factor)
      shifts.pointer[channel] = Float(Double(affine[shift + channel]) - mean * factor)
      func move(_ place: Int, towards value: Double) {
        statistics[place] = Float((1 - Self.momentum) * Double(statistics[place]) + Self.momentum * value)
      }
      move(runningMean + channel, towards: mean)
      move(runningVariance + channel, towards: variance * count / (count - 1))
    }
    try normalize(residual: residual, into: y, stored: stored, stride: stride)
  }

  /// The output of the last forward pass once more: cheaper than the memory that keeping it takes. Before ``backward``.
  /// - Parameter x: the input of that pass.
  func forwardAgain(
    _ x: FeatureMap, residual: FeatureMap? = nil, into y: UnsafeMutablePointer<Float>, stored: Precision
  ) throws {
    try recall(x)
    try normalize(residual: residual, into: y, stored: stored, stride: channels)
  }

  private func normalize(
    residual: FeatureMap?, into y: UnsafeMutablePointer<Float>, stored: Precision, stride: Int
  ) throws {
    let (size, pixels, z) = (shape.outputCount, shape.outputPixels, z)
    let (factors, shifts) = (factors.pointer, shifts.pointer)
    try step.forImageParts { images in
      let start = images.lowerBound * size
      rd_affine(
        z + precision.words(start), precision.bf16Flag, factors, shifts, residual?.advanced(by: start).start,
        residual?.precision.bf16Flag ?? 0, activation == .relu ? 1 : 0,
        y + stored.words(images.lowerBound * pixels * stride), stored.bf16Flag, stride, images.count * pixels, channels)
    }
  }

  /// The sums are the same on all ranks, so all stop here together, before a parameter is touched.
  /// - Parameters:
  ///   - values: what was summed, of all of this rank's images.
  ///   - stride: the distance between two pixels of it.
  private func requireFinite(_ sums: UnsafePointer<Double>, of values: FeatureMap, stride: Int) throws {
    if (0..<2 * channels).allSatisfy({ sums[$0].isFinite }) { return }
    let pixels = shape.outputPixels
    let odd = (0..<step.images).filter { image in
      !(image * pixels..<(image + 1) * pixels).allSatisfy { values.advanced(by: $0 * stride).isFinite(count: channels) }
    }
    throw NonFiniteNumbers(place: "layer \(name)", images: odd)
  }

  /// Back-propagates through normalisation and convolution, and leaves the parameters' gradients in their arenas.
  /// - Parameters:
  ///   - dy: the gradient of the output.
  ///   - dyStored: how it is: in single precision, or without y in ``hiddenPrecision``.
  ///   - stride: the distance between two pixels of dy, and of y, in values.
  ///   - y: the output where it was made with a residual and went through ReLU here. Where that was zero, dy is set to zero in place.
  ///   - x: the input of the forward pass.
  ///   - dx: where the input's gradient goes, if it is needed; it may be dy.
  ///   - dxStored: how that is; what is added to, in single precision.
  ///   - channels: so many of the input's channels, from the first on, need a gradient; all without a number.
  ///   - adding: whether it is added to what dx has.
  package func backward(
    _ dy: UnsafeMutablePointer<Float>, stored dyStored: Precision = .fp32, stride: Int? = nil,
    through y: FeatureMap? = nil, x: FeatureMap, into dx: UnsafeMutablePointer<Float>?, dxStored: Precision = .fp32,
    channels inputChannels: Int? = nil, adding: Bool = false
  ) throws {
    let (channels, size, pixels) = (channels, shape.outputCount, shape.outputPixels)
    let stride = stride ?? channels
    let isRectified = activation == .relu
    precondition(!isRectified || !hasResidual || y != nil)
    precondition(dyStored == .fp32 || precision == .bf16 && y == nil)
    let (z, mean, inverseDeviation) = (z, mean.pointer, inverseDeviation.pointer)
    try recall(x)
    // Without y, what was let through is seen by the normalised output.
    let (factors, shifts) = (isRectified && y == nil ? UnsafePointer(factors.pointer) : nil, shifts.pointer)
    let sums = try step.sumOverBatch(2 * channels) { images, sums in
      let start = images.lowerBound * pixels * stride
      rd_batch_norm_gradient_sums(
        z + precision.words(images.lowerBound * size), precision.bf16Flag, mean, inverseDeviation,
        factors, shifts, isRectified ? y?.advanced(by: start).start : nil, y?.precision.bf16Flag ?? 0, stride,
        dy + dyStored.words(start), dyStored.bf16Flag, stride, images.count * pixels, channels, sums, sums + channels)
    }
    try requireFinite(sums, of: FeatureMap(dy, stored: dyStored), stride: stride)

    let (affine, gradients) = (step.parameters.affine.values, step.parameters.affineGradients.pointer)
    let count = Double(step.batch * pixels)
    for channel in 0..<channels {
      let (shiftGradient, scaleGradient) = (sums[channel], sums[channels + channel])
      gradients[shift + channel] = Float(shiftGradient)
      gradients[scale + channel] = Float(scaleGradient)
      // dz = scale / deviation * (dy - mean(dy) - normalised z * mean(dy * normalised z)), as a * dy + b * z + c
      let deviation = Double(inverseDeviation[channel])
      let factor = Double(affine[scale + channel]) * deviation
      let slope = -factor * deviation * scaleGradient / count
      a.pointer[channel] = Float(factor)
      b.pointer[channel] = Float(slope)
      c.pointer[channel] = Float(-slope * Double(mean[channel]) - factor * shiftGradient / count)
    }
    let (a, b, c) = (a.pointer, b.pointer, c.pointer)
    if output == nil { step.passingOutput.holder = nil }
    try step.forImageParts { images in
      let z = z + precision.words(images.lowerBound * size)
      let dy = dy + dyStored.words(images.lowerBound * pixels * stride)
      rd_batch_norm_input_gradient(
        z, factors, shifts, dy, dyStored.bf16Flag, stride, a, b, c, z, precision.bf16Flag, images.count * pixels,
        channels)
    }

    let dz = FeatureMap(z, stored: precision)
    if let output { step.memory.finish(output) }
    try step.addWeightGradient(of: shape, at: weights, x: x, dy: dz)
    if let dx {
      try step.engine.inputGradient(
        shape, images: step.images, channels: inputChannels ?? shape.inputChannels, dy: dz,
        weights: step.parameters.weights.values + weights, adding: adding, into: dx, stored: dxStored)
    }
  }
}
