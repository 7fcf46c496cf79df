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
  /// Whether the output outlives the block after the next one.
  let keepsOutput: Bool
  let output: FloatBuffer
  /// How the output is stored, and what the skip connection makes: in single precision where it leaves the stage.
  private let precision: Precision
  /// The input of the last forward pass.
  private var input: FeatureMap?

  /// - Parameters:
  ///   - later: the blocks behind this one in its stage.
  ///   - unit: makes the units in the reverse order of the backward pass.
  init(
    _ description: BlockDescription, memory: ActivationMemory, later: Int,
    unit: (UnitDescription) throws -> Unit
  ) rethrows {
    let first = try unit(description.units[0])
    skip = try description.skip.map(unit)
    units = try [first] + description.units.dropFirst().map(unit)
    isResidual = description.isResidual
    hidden = units.dropLast().enumerated().map {
      memory.buffer(for: .hidden($0), $1.hiddenPrecision.words($1.shape.outputCount))
    }
    innerGradient = memory.innerGradient(
      units.dropLast().map { $0.hiddenPrecision.words($0.shape.outputCount) }.max() ?? 0)
    let last = units[units.count - 1]
    precision = later > 0 ? last.hiddenPrecision : .fp32
    let count = precision.words(last.shape.outputCount)
    keepsOutput = memory.keepsOutput(later: later)
    let output = keepsOutput ? memory.own(count) : memory.buffer(for: .block(parity: later % 2), count)
    skipOutput = skip.map { _ in memory.skipOutput(count, beside: output) }
    self.output = output
  }

  func forward(_ x: FeatureMap, images: Int) throws -> FeatureMap {
    input = x
    var inner = x
    for index in hidden.indices {
      let unit = units[index]
      try unit.forward(
        inner, images: images, residual: nil, into: hidden[index].pointer, stored: unit.hiddenPrecision,
        stride: unit.shape.outputChannels)
      inner = hiddenOutput(index)
    }
    var residual = isResidual ? x : nil
    if let skip, let skipOutput {
      try skip.forward(
        x, images: images, residual: nil, into: skipOutput.pointer, stored: precision,
        stride: skip.shape.outputChannels)
      residual = FeatureMap(skipOutput.pointer, stored: precision)
    }
    let last = units[units.count - 1]
    try last.forward(
      inner, images: images, residual: residual, into: output.pointer, stored: precision,
      stride: last.shape.outputChannels)
    return outputMap
  }

  private var outputMap: FeatureMap { FeatureMap(output.pointer, stored: precision) }

  /// A hidden output of the last forward pass.
  private func hiddenOutput(_ index: Int) -> FeatureMap {
    FeatureMap(hidden[index].pointer, stored: units[index].hiddenPrecision)
  }
}

extension ResidualBlock where Unit == NormalizedConvolution {
  /// Back-propagates the step's gradient, that of the output. Afterwards the step's gradient is that of the input.
  /// - Parameters:
  ///   - inputChannels: so many of the input's channels, from the first on, need a gradient.
  ///   - inputAgain: makes the input again, where it has not been kept.
  func backward(_ step: TrainingStep, inputChannels: Int, inputAgain: () throws -> Void) throws {
    guard let input, let innerGradient, isResidual, !hidden.isEmpty else {
      preconditionFailure("no residual block, or one without a forward pass")
    }
    let inner = innerGradient.pointer
    // Of the output, and in its place then of the input: by the skip connection, to which the convolutions' part is added.
    let gradient = step.gradient.pointer
    var (dy, dyStored, y) = (gradient, Precision.fp32, Optional(outputMap))
    for index in hidden.indices.reversed() {
      try hiddenAgain(index)
      let x = hiddenOutput(index)
      try units[index + 1].backward(dy, stored: dyStored, through: y, x: x, into: inner, dxStored: x.precision)
      (dy, dyStored, y) = (inner, x.precision, nil)
    }
    try inputAgain()
    let target = inputChannels > 0 ? gradient : nil
    // The last convolution's activation is also the skip connection's.
    if let skip { try skip.backward(gradient, x: input, into: target, channels: inputChannels) }
    try units[0].backward(dy, stored: dyStored, x: input, into: target, channels: inputChannels, adding: true)
  }

  /// Makes a hidden output of the last forward pass again. The convolution before it must keep what it has computed.
  private func hiddenAgain(_ index: Int) throws {
    guard let input else { preconditionFailure("no forward pass") }
    try units[index].forwardAgain(
      index > 0 ? hiddenOutput(index - 1) : input, into: hidden[index].pointer, stored: units[index].hiddenPrecision)
  }

  /// Makes the output of the last forward pass again; of what is hidden in the blocks the last may be overwritten.
  func outputAgain() throws {
    guard var residual = input else { preconditionFailure("no forward pass") }
    if let skip, let skipOutput {
      try skip.forwardAgain(residual, into: skipOutput.pointer, stored: precision)
      residual = FeatureMap(skipOutput.pointer, stored: precision)
    }
    let last = units[units.count - 1]
    if !last.keepsOutput { try hiddenAgain(hidden.count - 1) }
    try last.forwardAgain(hiddenOutput(hidden.count - 1), residual: residual, into: output.pointer, stored: precision)
  }
}
