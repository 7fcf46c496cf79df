import Numerics

/// What a step needs, and the next one does not: the outputs of convolutions, and the gradients of their weights.
///
/// Back-propagation is through with a convolution's output when it has the gradient of its weights. So that gradient lies where the outputs of
/// later convolutions were, and all gradients together take hardly any memory of their own.
final class StepMemory {
  private let memory = FloatBuffer()
  private var outputCount = 0
  private var firstGradient = 0
  /// From here on no output is needed any more.
  private var end = 0

  /// Floats of a cache line.
  private static let line = 16

  var outputs: UnsafeMutablePointer<Float> { memory.pointer }
  var gradients: UnsafeMutablePointer<Float> { memory.pointer + firstGradient }

  /// Gives a convolution a place for its output. Back-propagation must go through the convolutions in the reverse order of their claims.
  /// - Parameter offset: the place of its weights' gradient among all gradients.
  func claimOutput(_ count: Int, weightsAt offset: Int) -> Int {
    let place = outputCount
    outputCount += (count + Self.line - 1) / Self.line * Self.line
    firstGradient = max(firstGradient, outputCount - offset / Self.line * Self.line)
    return place
  }

  /// A forward pass begins.
  func begin() { end = outputCount }

  /// The weights' gradient of the convolution whose output lies there comes next: nobody needs the outputs behind it.
  func finish(_ output: Int) {
    // Outputs of no images, on a rank that has none, all lie at the same place.
    precondition(output <= end, "not the reverse order of claims")
    end = output
  }

  func allocate(gradients count: Int) {
    memory.grow(to: max(outputCount, firstGradient + count))
  }
}

/// The output of the convolution that computed last, of those that do not keep it.
final class PassingOutput {
  let buffer = FloatBuffer()
  /// Whose output it is; nil where it has become a gradient.
  var holder: ObjectIdentifier?
}
