import Distillation
import Network
import Numerics

extension ConvolutionShape {
  /// Floating-point operations of one pass over one image, two for a multiply-add, however the convolution is computed.
  var work: Double { 2 * Double(isTransposed ? inputPixels : outputPixels) * Double(weightCount) }
}

extension Architecture {
  /// Floating-point operations of one image.
  var teacherWork: Double { work(of: teacherUnits) }
  var studentForwardWork: Double { work(of: studentUnits) }

  /// Gradients of inputs and of weights; the convolutions on the teacher's features need none of their inputs.
  var studentBackwardWork: Double {
    2 * studentForwardWork - work(of: [fusionConvolutions[0], fusionConvolutions[2]])
  }

  private func work(of units: [UnitDescription]) -> Double { units.reduce(0) { $0 + $1.shape.work } }
}
