import Network
import Numerics

extension ConvolutionShape {
  /// Floating-point operations of one pass over one image, two for a multiply-add, however the convolution is computed.
  package var work: Double { 2 * Double(isTransposed ? inputPixels : outputPixels) * Double(weightCount) }
}

extension Architecture {
  /// Floating-point operations of one image.
  package var teacherWork: Double { work(of: teacherUnits) }
  package var studentForwardWork: Double { work(of: studentUnits) }

  /// Gradients of inputs and of weights; the convolutions on the teacher's features need none of their inputs.
  package var studentBackwardWork: Double { 2 * studentForwardWork - work(of: unitsOnFeatures) }

  private var unitsOnFeatures: [UnitDescription] {
    let first: BlockDescription
    switch model.bottleneck {
    case .multiScale: return [fusionConvolutions[0], fusionConvolutions[2]]
    case .oneClassEmbedding: first = embedding[0]
    case .pretrained: first = decoderStage(1)[0]
    }
    return first.units.prefix(1) + (first.skip.map { [$0] } ?? [])
  }

  private func work(of units: [UnitDescription]) -> Double { units.reduce(0) { $0 + $1.shape.work } }
}
