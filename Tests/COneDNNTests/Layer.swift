import COneDNN
import TestSupport

/// A convolution layer with data for a batch of images, its passes through oneDNN, and the same passes by definition.
struct Layer: Sendable, CustomStringConvertible {
  let shape: rd_dnn_shape
  let images: Int

  /// The output's size follows from the other numbers; of a transposed layer it is the smallest possible.
  init(
    _ inputChannels: Int, _ outputChannels: Int, kernel: Int, stride: Int = 1, padding: Int = 0,
    transposed: Bool = false, height: Int, width: Int, images: Int
  ) {
    func output(_ size: Int) -> Int32 {
      Int32(
        transposed ? (size - 1) * stride + kernel - 2 * padding : (size + 2 * padding - kernel) / stride + 1)
    }
    shape = rd_dnn_shape(
      input_channels: Int32(inputChannels), output_channels: Int32(outputChannels), kernel: Int32(kernel),
      stride: Int32(stride), padding: Int32(padding), transposed: transposed ? 1 : 0, input_height: Int32(height),
      input_width: Int32(width), output_height: output(height), output_width: output(width))
    self.images = images
  }

  var description: String {
    "\(images) x \(shape.input_height)x\(shape.input_width)x\(shape.input_channels), \(shape.kernel)x\(shape.kernel) "
      + "\(shape.transposed != 0 ? "transposed" : "convolution"), stride \(shape.stride), padding \(shape.padding), "
      + "to \(shape.output_channels)"
  }

  /// Floats of one image of the input, of one image of the output, and of the weights.
  var inputCount: Int { Int(shape.input_height * shape.input_width * shape.input_channels) }
  var outputCount: Int { Int(shape.output_height * shape.output_width * shape.output_channels) }
  var weightCount: Int { Int(shape.kernel * shape.kernel * shape.input_channels * shape.output_channels) }

  // The three operands; y's gradient stands for dy.
  var x: [Float] { randomNumbers(images * inputCount, seed: 1) }
  var dy: [Float] { randomNumbers(images * outputCount, seed: 2) }
  var weights: [Float] { randomNumbers(weightCount, seed: 3) }
}

/// A pass of a layer through oneDNN failed.
struct EngineFailure: Error, CustomStringConvertible {
  let description: String
}

extension Layer {
  /// A pass as the tests see it: what goes in, and how much comes out.
  enum Pass: CaseIterable { case forward, inputGradient, weightGradient }

  /// One pass through oneDNN over images `range` of the batch, or over all of them.
  ///
  /// The output starts as NaN, so that what is not written or only added to shows, and ends in a margin that must
  /// stay as it was.
  func engine(_ pass: Pass, range: Range<Int>? = nil) throws -> [Float] {
    let range = range ?? 0..<images
    let count = Int32(range.count)
    let margin = 64
    func slice(_ values: [Float], of size: Int) -> [Float] {
      Array(values[range.lowerBound * size..<range.upperBound * size])
    }
    func output(_ size: Int) -> [Float] { Array(repeating: .nan, count: size) + Array(repeating: 7, count: margin) }
    var layer = shape
    var result: [Float]
    let status: Int32
    switch pass {
    case .forward:
      result = output(range.count * outputCount)
      status = rd_dnn_forward(&layer, count, slice(x, of: inputCount), weights, &result)
    case .inputGradient:
      result = output(range.count * inputCount)
      status = rd_dnn_input_gradient(&layer, count, slice(dy, of: outputCount), weights, &result)
    case .weightGradient:
      result = output(weightCount)
      status = rd_dnn_weight_gradient(
        &layer, count, slice(x, of: inputCount), slice(dy, of: outputCount), &result)
    }
    guard status == 0 else { throw EngineFailure(description: "\(self), \(pass): \(String(cString: rd_dnn_error()))") }
    guard result.suffix(margin).allSatisfy({ $0 == 7 }) else {
      throw EngineFailure(description: "\(self), \(pass): wrote beyond the end")
    }
    return Array(result.dropLast(margin))
  }

  /// One pass by its definition, in double precision.
  func definition(_ pass: Pass) -> [Double] {
    let definition = ConvolutionDefinition(
      inputChannels: Int(shape.input_channels), outputChannels: Int(shape.output_channels), kernel: Int(shape.kernel),
      stride: Int(shape.stride), padding: Int(shape.padding), isTransposed: shape.transposed != 0,
      inputHeight: Int(shape.input_height), inputWidth: Int(shape.input_width),
      outputHeight: Int(shape.output_height), outputWidth: Int(shape.output_width))
    return switch pass {
    case .forward: definition.forward(images: images, x: x, weights: weights)
    case .inputGradient: definition.inputGradient(images: images, dy: dy, weights: weights)
    case .weightGradient: definition.weightGradient(images: images, x: x, dy: dy)
    }
  }
}
