import Numerics

/// The convolutions of a residual block: two (basic) or three (bottleneck), and one beside them where the input cannot be added as it is.
/// Blocks of other networks may have no skip connection at all.
public struct BlockDescription: Sendable {
  public let units: [UnitDescription]
  public let skip: UnitDescription?
  /// Whether the input, as it is or as the skip connection makes it, is added.
  public let isResidual: Bool

  public init(units: [UnitDescription], skip: UnitDescription?, isResidual: Bool = true) {
    self.units = units
    self.skip = skip
    self.isResidual = isResidual
  }
}

/// y = activation(convolutions(x) + skip(x)) (K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016).
public final class ResidualBlock<Unit: ConvolutionUnit> {
  let units: [Unit]
  let skip: Unit?
  private let isResidual: Bool
  let hidden: [FloatBuffer]
  /// Of the hidden outputs, one after the other, in training.
  private let innerGradient: FloatBuffer?
  private let skipOutput: FloatBuffer?
  let output: FloatBuffer
  /// The input of the last forward pass.
  var input: UnsafePointer<Float>?

  /// - Parameter ownOutput: whether the output must outlive the block after the next one.
  init(
    _ description: BlockDescription, memory: ActivationMemory, parity: Int, ownOutput: Bool,
    unit: (UnitDescription) throws -> Unit
  ) rethrows {
    units = try description.units.map(unit)
    skip = try description.skip.map(unit)
    isResidual = description.isResidual
    hidden = units.dropLast().enumerated().map { memory.buffer(for: .hidden($0), $1.shape.outputCount) }
    innerGradient = memory.innerGradient(units.dropLast().map(\.shape.outputCount).max() ?? 0)
    skipOutput = skip.map { memory.buffer(for: .skip, $0.shape.outputCount) }
    let count = units[units.count - 1].shape.outputCount
    output = ownOutput ? memory.own(count) : memory.buffer(for: .block(parity: parity), count)
  }

  func forward(_ x: UnsafePointer<Float>, images: Int) throws -> UnsafePointer<Float> {
    input = x
    var inner = x
    for index in hidden.indices {
      try units[index].forward(inner, images: images, into: hidden[index].pointer)
      inner = UnsafePointer(hidden[index].pointer)
    }
    var residual = isResidual ? x : nil
    if let skip, let skipOutput {
      try skip.forward(x, images: images, into: skipOutput.pointer)
      residual = UnsafePointer(skipOutput.pointer)
    }
    let last = units[units.count - 1]
    try last.forward(
      inner, images: images, residual: residual, into: output.pointer, stride: last.shape.outputChannels)
    return UnsafePointer(output.pointer)
  }
}

extension ResidualBlock where Unit == NormalizedConvolution {
  /// Back-propagates the step's gradient, that of the output. Afterwards the step's gradient is that of the input.
  /// - Parameter inputChannels: so many of the input's channels, from the first on, need a gradient.
  func backward(_ step: TrainingStep, inputChannels: Int) throws {
    guard let input, let innerGradient, isResidual, !hidden.isEmpty else {
      preconditionFailure("no residual block, or one without a forward pass")
    }
    let inner = innerGradient.pointer
    // Of the output, and in its place then of the input: by the skip connection, to which the convolutions' part is added.
    let gradient = step.gradient.pointer
    var (dy, y) = (gradient, output)
    for index in hidden.indices.reversed() {
      let x = hidden[index]
      try units[index].forwardAgain(into: x.pointer)
      try units[index + 1].backward(dy, through: y.pointer, x: x.pointer, into: inner)
      (dy, y) = (inner, x)
    }
    let target = inputChannels > 0 ? gradient : nil
    // The last convolution's activation is also the skip connection's.
    if let skip { try skip.backward(gradient, through: nil, x: input, into: target, channels: inputChannels) }
    try units[0].backward(dy, through: y.pointer, x: input, into: target, channels: inputChannels, adding: true)
  }
}
