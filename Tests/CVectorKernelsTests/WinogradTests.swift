import CVectorKernels
import TestSupport
import Testing

/// The Winograd transforms against a direct convolution and its gradients in double precision. Maps that are no whole number of tiles, and
/// channel counts that are no multiple of a vector, are among the cases.
@Suite struct WinogradTests {
  struct Layer: Sendable {
    var height: Int, width: Int, inputs: Int
    let images = 2
    let outputs = 5
    var pixels: Int { images * height * width }
    var tiles: Int { images * ((height + 3) / 4) * ((width + 3) / 4) }
    var plane: Int { inputs * outputs }

    /// Calls `body` with the indices of every pair of an output's and an input's pixel that a tap joins.
    func forEachTap(_ body: (_ output: Int, _ input: Int, _ tap: Int) -> Void) {
      for output in 0..<pixels {
        let (image, i, j) = (output / (height * width), output / width % height, output % width)
        for tap in 0..<9 {
          let (a, b) = (i + tap / 3 - 1, j + tap % 3 - 1)
          guard a >= 0, a < height, b >= 0, b < width else { continue }
          body(output, (image * height + a) * width + b, tap)
        }
      }
    }

    /// Each of the 36 products, rows x depth by depth x columns, where `left` and `right` say where an element lies in its plane.
    func products(
      _ a: [Float], _ b: [Float], rows: Int, columns: Int, depth: Int, left: (Int, Int) -> Int,
      right: (Int, Int) -> Int
    ) -> [Float] {
      let (planeA, planeB) = (a.count / 36, b.count / 36)
      return (0..<36 * rows * columns).map { index in
        let (plane, row, column) = (index / (rows * columns), index / columns % rows, index % columns)
        return Float(
          (0..<depth).reduce(0.0) {
            $0 + Double(a[plane * planeA + left(row, $1)]) * Double(b[plane * planeB + right($1, column)])
          })
      }
    }
  }

  private static let layers = [
    Layer(height: 8, width: 8, inputs: 16), Layer(height: 7, width: 5, inputs: 19),
    Layer(height: 4, width: 4, inputs: 3), Layer(height: 1, width: 2, inputs: 2),
  ]

  private func greatestDifference(_ values: [Float], _ expected: [Double]) -> Double {
    #expect(values.count == expected.count)
    // Not a number is greater than anything.
    return zip(values, expected).map { abs(Double($0) - $1) }.reduce(0) { $1 <= $0 ? $0 : $1 }
  }

  /// In two parts, as threads share the work; neither is a whole number of vectors.
  private func transformedWeights(_ layer: Layer, _ weights: [Float], turned: Bool) -> [Float] {
    var u = [Float](repeating: .nan, count: 36 * layer.plane)
    let first = layer.plane / 3
    rd_winograd_weights(weights, layer.plane, turned ? 1 : 0, first, layer.plane - first, &u)
    rd_winograd_weights(weights, layer.plane, turned ? 1 : 0, 0, first, &u)
    return u
  }

  /// The input's transform, in two parts that begin in either image.
  private func transformedInput(_ layer: Layer, _ x: [Float], channels: Int) -> [Float] {
    var v = [Float](repeating: .nan, count: 36 * layer.tiles * channels)
    let (plane, first) = (layer.tiles * channels, layer.tiles / 2)
    v.withUnsafeMutableBufferPointer { v in
      rd_winograd_input(x, layer.height, layer.width, channels, 0, first, v.baseAddress, plane)
      rd_winograd_input(
        x, layer.height, layer.width, channels, first, layer.tiles - first, v.baseAddress.map { $0 + first * channels },
        plane)
    }
    return v
  }

  @Test(arguments: layers)
  func outputIsThatOfADirectConvolution(_ layer: Layer) {
    let (inputs, outputs) = (layer.inputs, layer.outputs)
    let x = randomNumbers(layer.pixels * inputs, seed: 1)
    let w = randomNumbers(9 * layer.plane, seed: 2)
    let m = layer.products(
      transformedInput(layer, x, channels: inputs), transformedWeights(layer, w, turned: false), rows: layer.tiles,
      columns: outputs, depth: inputs, left: { $0 * inputs + $1 }, right: { $0 * outputs + $1 })
    var y = [Float](repeating: .nan, count: layer.pixels * outputs)
    rd_winograd_output(m, layer.tiles * outputs, layer.height, layer.width, outputs, 0, layer.tiles, &y)

    var expected = [Double](repeating: 0, count: y.count)
    layer.forEachTap { output, input, tap in
      for c in 0..<inputs {
        for o in 0..<outputs {
          expected[output * outputs + o] += Double(x[input * inputs + c]) * Double(w[(tap * inputs + c) * outputs + o])
        }
      }
    }
    #expect(greatestDifference(y, expected) < 1e-4)
  }

  /// A convolution of the output's gradient with the weights turned by half a turn, each of their matrices transposed.
  @Test(arguments: layers)
  func turnedWeightsGiveTheInputsGradient(_ layer: Layer) {
    let (inputs, outputs) = (layer.inputs, layer.outputs)
    let dy = randomNumbers(layer.pixels * outputs, seed: 1)
    let w = randomNumbers(9 * layer.plane, seed: 2)
    let m = layer.products(
      transformedInput(layer, dy, channels: outputs), transformedWeights(layer, w, turned: true), rows: layer.tiles,
      columns: inputs, depth: outputs, left: { $0 * outputs + $1 }, right: { $1 * outputs + $0 })
    var dx = [Float](repeating: .nan, count: layer.pixels * inputs)
    rd_winograd_output(m, layer.tiles * inputs, layer.height, layer.width, inputs, 0, layer.tiles, &dx)

    var expected = [Double](repeating: 0, count: dx.count)
    layer.forEachTap { output, input, tap in
      for c in 0..<inputs {
        for o in 0..<outputs {
          expected[input * inputs + c] += Double(dy[output * outputs + o]) * Double(w[(tap * inputs + c) * outputs + o])
        }
      }
    }
    #expect(greatestDifference(dx, expected) < 1e-4)
  }

  @Test(arguments: layers)
  func adjointsGiveTheWeightsGradient(_ layer: Layer) {
    let (inputs, outputs) = (layer.inputs, layer.outputs)
    let x = randomNumbers(layer.pixels * inputs, seed: 1)
    let dy = randomNumbers(layer.pixels * outputs, seed: 2)
    var dm = [Float](repeating: .nan, count: 36 * layer.tiles * outputs)
    let (plane, first) = (layer.tiles * outputs, layer.tiles / 2)
    dm.withUnsafeMutableBufferPointer { dm in
      rd_winograd_output_adjoint(dy, layer.height, layer.width, outputs, 0, first, dm.baseAddress, plane)
      rd_winograd_output_adjoint(
        dy, layer.height, layer.width, outputs, first, layer.tiles - first,
        dm.baseAddress.map { $0 + first * outputs }, plane)
    }
    let du = layer.products(
      transformedInput(layer, x, channels: inputs), dm, rows: inputs, columns: outputs, depth: layer.tiles,
      left: { $1 * inputs + $0 }, right: { $0 * outputs + $1 })
    var dw = [Float](repeating: .nan, count: 9 * layer.plane)
    rd_winograd_weights_adjoint(du, layer.plane, &dw)

    var expected = [Double](repeating: 0, count: dw.count)
    layer.forEachTap { output, input, tap in
      for c in 0..<inputs {
        for o in 0..<outputs {
          expected[(tap * inputs + c) * outputs + o] +=
            Double(x[input * inputs + c]) * Double(dy[output * outputs + o])
        }
      }
    }
    #expect(greatestDifference(dw, expected) < 1e-4)
  }
}
