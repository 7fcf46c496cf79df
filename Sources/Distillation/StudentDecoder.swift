import Network
import Numerics

/// The student: a mirrored ResNet that rebuilds the teacher's features from the embedding (the paper's section 3.2).
public final class StudentDecoder<Unit: ConvolutionUnit> {
  /// In forward order: scale 3, 2, 1.
  let stages: [Stage<Unit>]
  private let rebuilt: Features

  init(_ architecture: Architecture, memory: ActivationMemory, unit: (UnitDescription) throws -> Unit) rethrows {
    stages = try (1...3).map { try Stage(architecture.decoderStage($0), memory: memory, unit: unit) }
    rebuilt = Features(scales: stages.reversed().map(\.output), embedding: nil)
  }

  /// - Returns: d1, d2, d3, shaped as the teacher's features.
  func forward(_ embedding: UnsafePointer<Float>, images: Int) throws -> Features {
    var input = embedding
    for index in stages.indices { input = try stages[index].forward(input, images: images) }
    return rebuilt
  }
}

extension StudentDecoder where Unit == NormalizedConvolution {
  /// Back-propagates the loss to the parameters, and to the embedding where that is asked; the step's gradient is then the embedding's.
  /// - Parameter lossGradient: writes the loss's gradient with respect to d1, d2 or d3, or adds it.
  func backward(
    _ step: TrainingStep, needsInputGradient: Bool,
    lossGradient: (_ scale: Int, _ adding: Bool, _ target: UnsafeMutablePointer<Float>) throws -> Void
  ) throws {
    try lossGradient(1, false, step.gradient.pointer)
    for index in stages.indices.reversed() {
      try stages[index].backward(step, inputChannels: index > 0 || needsInputGradient ? nil : 0)
      // What went in here was compared with the teacher as well.
      if index > 0 { try lossGradient(4 - index, true, step.gradient.pointer) }
    }
  }
}
