import Numerics

/// Residual blocks one after another, at one resolution but for the first one's input.
public final class Stage<Unit: ConvolutionUnit> {
  let blocks: [ResidualBlock<Unit>]

  public init(
    _ descriptions: [BlockDescription], memory: ActivationMemory, unit: (UnitDescription) throws -> Unit
  ) rethrows {
    blocks = try descriptions.enumerated().map { index, description in
      try ResidualBlock(description, memory: memory, later: descriptions.count - 1 - index, unit: unit)
    }
    outputCount = descriptions.last?.units.last?.shape.outputCount ?? 0
  }

  /// Where the output of every forward pass lies.
  public var output: UnsafePointer<Float> { UnsafePointer(blocks[blocks.count - 1].output.pointer) }
  /// Floats of one image's output.
  public let outputCount: Int

  public func forward(_ x: UnsafePointer<Float>, images: Int) throws -> UnsafePointer<Float> {
    var output = FeatureMap.fp32(x)
    for index in blocks.indices { output = try blocks[index].forward(output, images: images) }
    return output.start
  }
}

extension Stage where Unit == NormalizedConvolution {
  /// Back-propagates the step's gradient, that of the output. Afterwards the step's gradient is that of the input, where it is needed.
  /// - Parameter inputChannels: so many of the input's channels, from the first on, need a gradient; all without a number.
  public func backward(_ step: TrainingStep, inputChannels: Int? = nil) throws {
    for index in blocks.indices.reversed() {
      let all = blocks[index].units[0].shape.inputChannels
      try blocks[index].backward(step, inputChannels: index > 0 ? all : inputChannels ?? all) {
        if index > 0, !blocks[index - 1].keepsOutput { try blocks[index - 1].outputAgain() }
      }
    }
  }
}
