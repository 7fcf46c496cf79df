/// One convolution: what goes in, what comes out, and the kernel between. Activations are NHWC, dense.
///
/// Weights are `[kernel][kernel][input channel][output channel]`; those of a transposed convolution
/// `[input channel][kernel][kernel][output channel]`, with `y[s*i+u][s*j+v][o] = sum over c of x[i][j][c] * w[c][u][v][o]`. Both are one
/// matrix that a matrix of patches, or of pixels, is multiplied by. Those of a depthwise convolution, which no engine multiplies
/// (``ThreadTeam/depthwise(_:images:x:weights:epilogue:into:)``), are `[kernel][kernel][channel]`.
public struct ConvolutionShape: Hashable, Sendable {
  public let inputChannels: Int
  public let outputChannels: Int
  public let kernel: Int
  public let stride: Int
  /// Zeros before the first row and column; behind the last ones there are as many as the windows reach.
  public let padding: Int
  /// Whether it is the transposed convolution of the networks here, whose windows touch and do not overlap.
  public let isTransposed: Bool
  /// Whether every channel is a convolution of its own.
  public let isDepthwise: Bool
  public let inputHeight: Int
  public let inputWidth: Int
  public let outputHeight: Int
  public let outputWidth: Int

  /// The convolution whose output has a pixel for every `stride`th of the input, from the first one on.
  /// - Parameter padding: half a kernel unless given, which centres the windows.
  public init(
    inputChannels: Int, outputChannels: Int, kernel: Int, stride: Int = 1, padding: Int? = nil,
    isDepthwise: Bool = false, inputHeight: Int, inputWidth: Int
  ) {
    precondition(!isDepthwise || inputChannels == outputChannels && inputChannels.isMultiple(of: 16))
    self.init(
      inputChannels: inputChannels, outputChannels: outputChannels, kernel: kernel, stride: stride,
      padding: padding ?? kernel / 2, isTransposed: false, isDepthwise: isDepthwise, inputHeight: inputHeight,
      inputWidth: inputWidth, outputHeight: (inputHeight - 1) / stride + 1, outputWidth: (inputWidth - 1) / stride + 1)
  }

  /// The transposed convolution that makes every pixel a block of `factor` x `factor`.
  public init(upsampling factor: Int, inputChannels: Int, outputChannels: Int, inputHeight: Int, inputWidth: Int) {
    self.init(
      inputChannels: inputChannels, outputChannels: outputChannels, kernel: factor, stride: factor, padding: 0,
      isTransposed: true, isDepthwise: false, inputHeight: inputHeight, inputWidth: inputWidth,
      outputHeight: inputHeight * factor,
      outputWidth: inputWidth * factor)
  }

  private init(
    inputChannels: Int, outputChannels: Int, kernel: Int, stride: Int, padding: Int, isTransposed: Bool,
    isDepthwise: Bool,
    inputHeight: Int, inputWidth: Int, outputHeight: Int, outputWidth: Int
  ) {
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.isTransposed = isTransposed
    self.isDepthwise = isDepthwise
    self.inputHeight = inputHeight
    self.inputWidth = inputWidth
    self.outputHeight = outputHeight
    self.outputWidth = outputWidth
  }

  /// Floats of one image.
  public var inputCount: Int { inputPixels * inputChannels }
  public var outputCount: Int { outputPixels * outputChannels }
  public var weightCount: Int { kernel * kernel * inputChannels * (isDepthwise ? 1 : outputChannels) }
  public var inputPixels: Int { inputHeight * inputWidth }
  public var outputPixels: Int { outputHeight * outputWidth }

  /// The weights' shape in PyTorch.
  public var torchWeightShape: [Int] {
    isTransposed
      ? [inputChannels, outputChannels, kernel, kernel]
      : [outputChannels, isDepthwise ? 1 : inputChannels, kernel, kernel]
  }

  /// Weights in PyTorch's order, brought into the order used here.
  public func weights(fromTorch torch: [Float]) -> [Float] {
    precondition(torch.count == weightCount)
    return [Float](unsafeUninitializedCapacity: weightCount) { weights, count in
      torch.withUnsafeBufferPointer { torch in eachWeight { own, other in weights[own] = torch[other] } }
      count = weightCount
    }
  }

  /// Weights (or their gradients, or anything of their shape) in the order used here, brought into PyTorch's.
  public func torchWeights(from weights: UnsafePointer<Float>) -> [Float] {
    [Float](unsafeUninitializedCapacity: weightCount) { torch, count in
      eachWeight { own, other in torch[other] = weights[own] }
      count = weightCount
    }
  }

  private func eachWeight(_ body: (_ own: Int, _ torch: Int) -> Void) {
    let taps = kernel * kernel
    // A depthwise convolution is laid out as one with a single input channel.
    let inputChannels = isDepthwise ? 1 : inputChannels
    for input in 0..<inputChannels {
      for tap in 0..<taps {
        for output in 0..<outputChannels {
          if isTransposed {
            body((input * taps + tap) * outputChannels + output, (input * outputChannels + output) * taps + tap)
          } else {
            body((tap * inputChannels + input) * outputChannels + output, (output * inputChannels + input) * taps + tap)
          }
        }
      }
    }
  }
}
