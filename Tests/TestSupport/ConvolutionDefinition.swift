/// What a convolution is, in double precision: NHWC activations, weights `[kernel][kernel][input channel][output channel]`, those of a
/// transposed one `[input channel][kernel][kernel][output channel]`.
public struct ConvolutionDefinition: Sendable {
  public let inputChannels, outputChannels, kernel, stride, padding: Int
  public let isTransposed: Bool
  public let inputHeight, inputWidth, outputHeight, outputWidth: Int

  public init(
    inputChannels: Int, outputChannels: Int, kernel: Int, stride: Int, padding: Int, isTransposed: Bool,
    inputHeight: Int, inputWidth: Int, outputHeight: Int, outputWidth: Int
  ) {
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.isTransposed = isTransposed
    self.inputHeight = inputHeight
    self.inputWidth = inputWidth
    self.outputHeight = outputHeight
    self.outputWidth = outputWidth
  }

  /// y.
  public func forward(images: Int, x: [Float], weights: [Float]) -> [Double] {
    let (x, weights) = (x.map(Double.init), weights.map(Double.init))
    return sums(images * outputHeight * outputWidth * outputChannels, images: images) { y, input, output, weight in
      y[output] += x[input] * weights[weight]
    }
  }

  /// The gradient of x, from that of y.
  public func inputGradient(images: Int, dy: [Float], weights: [Float]) -> [Double] {
    let (dy, weights) = (dy.map(Double.init), weights.map(Double.init))
    return sums(images * inputHeight * inputWidth * inputChannels, images: images) { dx, input, output, weight in
      dx[input] += dy[output] * weights[weight]
    }
  }

  /// The gradient of the weights.
  public func weightGradient(images: Int, x: [Float], dy: [Float]) -> [Double] {
    let (x, dy) = (x.map(Double.init), dy.map(Double.init))
    return sums(kernel * kernel * inputChannels * outputChannels, images: images) { dw, input, output, weight in
      dw[weight] += x[input] * dy[output]
    }
  }

  /// Calls `add` with the offsets of an element of x, of y and of the weights for every triple that the layer joins.
  @inline(__always)
  private func sums(
    _ count: Int, images: Int,
    add: (_ sums: UnsafeMutableBufferPointer<Double>, _ input: Int, _ output: Int, _ weight: Int) -> Void
  ) -> [Double] {
    // The kernel's windows lie in the input of a convolution, in the output of a transposed one.
    let (windowRows, windowColumns) = isTransposed ? (inputHeight, inputWidth) : (outputHeight, outputWidth)
    let (fieldRows, fieldColumns) = isTransposed ? (outputHeight, outputWidth) : (inputHeight, inputWidth)
    var result = [Double](repeating: 0, count: count)
    result.withUnsafeMutableBufferPointer { sums in
      for image in 0..<images {
        for i in 0..<windowRows {
          for j in 0..<windowColumns {
            for u in 0..<kernel {
              for v in 0..<kernel {
                let (row, column) = (i * stride + u - padding, j * stride + v - padding)
                guard (0..<fieldRows).contains(row), (0..<fieldColumns).contains(column) else { continue }
                let window = (image * windowRows + i) * windowColumns + j
                let field = (image * fieldRows + row) * fieldColumns + column
                for c in 0..<inputChannels {
                  let input = (isTransposed ? window : field) * inputChannels + c
                  let output = (isTransposed ? field : window) * outputChannels
                  let weight =
                    isTransposed
                    ? ((c * kernel + u) * kernel + v) * outputChannels
                    : ((u * kernel + v) * inputChannels + c) * outputChannels
                  for o in 0..<outputChannels { add(sums, input, output + o, weight + o) }
                }
              }
            }
          }
        }
      }
    }
    return result
  }
}
