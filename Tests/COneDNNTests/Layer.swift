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
    let (x, dy, weights) = (self.x.map(Double.init), self.dy.map(Double.init), self.weights.map(Double.init))
    let size =
      switch pass {
      case .forward: images * outputCount
      case .inputGradient: images * inputCount
      case .weightGradient: weightCount
      }
    var result = [Double](repeating: 0, count: size)
    result.withUnsafeMutableBufferPointer { result in
      eachProduct { input, output, weight in
        switch pass {
        case .forward: result[output] += x[input] * weights[weight]
        case .inputGradient: result[input] += dy[output] * weights[weight]
        case .weightGradient: result[weight] += x[input] * dy[output]
        }
      }
    }
    return result
  }

  /// Calls `body` with the offsets of an element of x, of y and of the weights for every triple that the layer joins.
  private func eachProduct(_ body: (_ input: Int, _ output: Int, _ weight: Int) -> Void) {
    let (height, width, channels) = (Int(shape.input_height), Int(shape.input_width), Int(shape.input_channels))
    let (rows, columns, filters) = (Int(shape.output_height), Int(shape.output_width), Int(shape.output_channels))
    let (kernel, stride, padding) = (Int(shape.kernel), Int(shape.stride), Int(shape.padding))
    let transposed = shape.transposed != 0
    // The kernel's windows lie in the input of a convolution, in the output of a transposed one.
    let (windowRows, windowColumns) = transposed ? (height, width) : (rows, columns)
    let (fieldRows, fieldColumns) = transposed ? (rows, columns) : (height, width)
    for image in 0..<images {
      for i in 0..<windowRows {
        for j in 0..<windowColumns {
          for u in 0..<kernel {
            for v in 0..<kernel {
              let (row, column) = (i * stride + u - padding, j * stride + v - padding)
              guard (0..<fieldRows).contains(row), (0..<fieldColumns).contains(column) else { continue }
              let window = (image * windowRows + i) * windowColumns + j
              let field = (image * fieldRows + row) * fieldColumns + column
              for c in 0..<channels {
                for o in 0..<filters {
                  body(
                    (transposed ? window : field) * channels + c, (transposed ? field : window) * filters + o,
                    transposed
                      ? ((c * kernel + u) * kernel + v) * filters + o : ((u * kernel + v) * channels + c) * filters + o)
                }
              }
            }
          }
        }
      }
    }
  }
}
