import Network
import Numerics
import RandomStreams
import TensorFiles

/// The weights that training starts from, in PyTorch's order: a function of the seed and the tensor's name.
package enum Initialization {
  /// All tensors of some units: the weights as below, normalisations that change nothing.
  package static func tensors(of units: [UnitDescription], seed: UInt64) -> [LazyTensor] {
    units.flatMap { unit in
      zip(unit.tensors, [nil, 1, 0, 0, 1] as [Float?]).map { tensor, constant in
        LazyTensor(name: tensor.name, shape: tensor.shape) {
          constant.map { Array(repeating: $0, count: tensor.shape[0]) }
            ?? weights(of: unit.shape, name: tensor.name, seed: seed)
        }
      }
    }
  }

  /// Convolutions: normal, with variance 2 / (output channels * kernel area) (kaiming_normal_, fan_out, relu; of a depthwise one each channel for
  /// itself). Transposed convolutions:
  /// uniform between -b and b with b = 1 / sqrt(4 * output channels), which is PyTorch's default and what the authors' code leaves.
  private static func weights(of shape: ConvolutionShape, name: String, seed: UInt64) -> [Float] {
    var random = SplitMix64(seed, name: name)
    let area = shape.kernel * shape.kernel
    if shape.isTransposed {
      let bound = 1 / Double(area * shape.outputChannels).squareRoot()
      return (0..<shape.weightCount).map { _ in Float((2 * random.unit() - 1) * bound) }
    }
    let deviation = (2 / Double((shape.isDepthwise ? 1 : shape.outputChannels) * area)).squareRoot()
    var values: [Float] = []
    values.reserveCapacity(shape.weightCount + 1)
    while values.count < shape.weightCount {
      let (first, second) = random.normalPair()
      values.append(Float(first * deviation))
      values.append(Float(second * deviation))
    }
    return Array(values.prefix(shape.weightCount))
  }
}
