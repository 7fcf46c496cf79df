import CVectorKernels
import Collectives
import Diagnostics
import Numerics

/// Makes sure that all ranks compute the same bits, by a 3x3 and a 1x1 convolution, each with an affine map behind. Collective.
/// - Throws: `Failure(.badData)` that names the ranks that differ.
public func compareArithmetic(_ engine: any ConvolutionEngine, over communicator: any Communicator) throws {
  let side = 16
  let shapes = [
    ConvolutionShape(inputChannels: 64, outputChannels: 64, kernel: 3, inputHeight: side, inputWidth: side),
    ConvolutionShape(inputChannels: 64, outputChannels: 32, kernel: 1, inputHeight: side, inputWidth: side),
  ]
  var hash = SHA256()
  try communicator.agree {
    for shape in shapes {
      engine.reserve(shape, images: 1, shards: 1)
      let x = FloatBuffer((0..<shape.inputCount).map { Float($0 * 7919 % 1009) / 1009 - 0.5 })
      let weights = FloatBuffer((0..<shape.weightCount).map { Float($0 * 6007 % 1013) / 1013 - 0.5 })
      let y = FloatBuffer(shape.outputCount)
      try engine.forward(
        shape, images: 1, x: .fp32(x.pointer), weights: weights.pointer, into: y.pointer, stored: .fp32)
      let channels = shape.outputChannels
      rd_affine(
        y.pointer, 0, weights.pointer, weights.pointer + channels, nil, 0, 0, y.pointer, 0, channels,
        y.count / channels, channels)
      hash.update(UnsafeRawBufferPointer(start: y.pointer, count: y.count * MemoryLayout<Float>.stride))
    }
  }
  try communicator.compareAcrossRanks(
    String(hash.hexDigest().prefix(16)), what: "how their processors compute",
    hint: "use machines of one kind; with the engine openblas, set OPENBLAS_CORETYPE alike on all")
}
