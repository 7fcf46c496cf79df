import CVectorKernels
import TestSupport
import Testing

/// The Winograd transforms against a direct convolution and its gradients in double precision. Maps that are no whole number of tiles,
/// channel counts that are no multiple of a vector, pixels and planes with gaps, and both layouts of transformed channels are among the cases.
@Suite struct WinogradTests {
  struct Layer: Sendable {
    var height: Int, width: Int, inputs: Int, outputs: Int
    let images = 2
    var pixels: Int { images * height * width }
    var tiles: Int { images * ((height + 3) / 4) * ((width + 3) / 4) }

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
  }

  private static let layers = [
    Layer(height: 8, width: 8, inputs: 16, outputs: 5), Layer(height: 7, width: 5, inputs: 19, outputs: 33),
    Layer(height: 4, width: 4, inputs: 40, outputs: 70), Layer(height: 1, width: 2, inputs: 2, outputs: 1),
    Layer(height: 9, width: 17, inputs: 64, outputs: 32),
  ]

  private static let gap: Float = 7

  /// 36 matrices, a gap between one and the next, in panels or row by row.
  private struct Transformed {
    let rows, channels: Int
    let isPanelled: Bool
    var values: [Float]

    init(rows: Int, channels: Int, isPanelled: Bool) {
      (self.rows, self.channels, self.isPanelled) = (rows, channels, isPanelled)
      values = []
      values = Array(repeating: gap, count: 36 * plane)
    }

    var rowStride: Int { isPanelled ? panel : channels + 3 }
    var panelStride: Int { isPanelled ? rows * panel + 9 : panel }
    var plane: Int { (isPanelled ? panels(channels) * panelStride : rows * rowStride) + 16 }

    func place(_ plane: Int, _ row: Int, _ channel: Int) -> Int {
      plane * self.plane + row * rowStride + channel / panel * panelStride + channel % panel
    }

    subscript(plane: Int, row: Int, channel: Int) -> Double { Double(values[place(plane, row, channel)]) }

    /// Whether nothing but the matrices has been written, and zeros into what fills up a panel.
    func keepsToItsPlaces() -> Bool {
      var others = values
      for plane in 0..<36 {
        for row in 0..<rows {
          for channel in 0..<(isPanelled ? panels(channels) * panel : channels) {
            let place = place(plane, row, channel)
            guard channel < channels || others[place] == 0 || others[place] == gap else { return false }
            others[place] = gap
          }
        }
      }
      return others.allSatisfy { $0 == gap }
    }
  }

  /// The transforms of an input or of an output's gradient. Tiles in two parts that begin in either image, channels in two of which one is a
  /// whole panel, as blocks are. Pixels are three floats further apart than they have channels.
  private func transformed(
    _ layer: Layer, _ x: [Float], channels: Int, isPanelled: Bool, adjoint: Bool = false
  ) -> Transformed {
    var result = Transformed(rows: layer.tiles, channels: channels, isPanelled: isPanelled)
    let (plane, rowStride, panelStride) = (result.plane, result.rowStride, result.panelStride)
    let spread = spread(x, channels: channels)
    let transform = adjoint ? rd_winograd_output_adjoint : rd_winograd_input
    let parts = channels > panel ? [0..<panel, panel..<channels] : [0..<channels]
    spread.withUnsafeBufferPointer { x in
      result.values.withUnsafeMutableBufferPointer { v in
        for tiles in [layer.tiles / 2..<layer.tiles, 0..<layer.tiles / 2] {
          for part in parts {
            transform(
              x.baseAddress! + part.lowerBound, layer.height, layer.width, channels + 3, part.count, tiles.lowerBound,
              tiles.count,
              v.baseAddress! + tiles.lowerBound * rowStride + part.lowerBound / panel * panelStride, plane, rowStride,
              panelStride)
          }
        }
      }
    }
    #expect(result.keepsToItsPlaces())
    return result
  }

  private func spread(_ x: [Float], channels: Int) -> [Float] {
    (0..<x.count / channels).flatMap { x[$0 * channels..<($0 + 1) * channels] + [.nan, .nan, .nan] }
  }

  /// Weights are always in panels, and so are blocks of their rows and columns.
  private func transformedWeights(_ layer: Layer, _ weights: [Float]) -> Transformed {
    let (inputs, outputs) = (layer.inputs, layer.outputs)
    var result = Transformed(rows: inputs, channels: outputs, isPanelled: true)
    let (plane, panelStride) = (result.plane, result.panelStride)
    let columns = outputs > panel ? [0..<panel, panel..<outputs] : [0..<outputs]
    weights.withUnsafeBufferPointer { w in
      result.values.withUnsafeMutableBufferPointer { u in
        for rows in [0..<inputs / 3, inputs / 3..<inputs] {
          for columns in columns {
            rd_winograd_weights(
              w.baseAddress! + rows.lowerBound * outputs + columns.lowerBound, inputs * outputs, outputs, rows.count,
              columns.count, u.baseAddress! + rows.lowerBound * panel + columns.lowerBound / panel * panelStride, plane,
              panelStride)
          }
        }
      }
    }
    #expect(result.keepsToItsPlaces())
    return result
  }

  /// Each of the 36 products, row by row.
  private func products(
    rows: Int, columns: Int, depth: Int, _ term: (_ plane: Int, _ row: Int, _ column: Int, _ depth: Int) -> Double
  ) -> Transformed {
    var result = Transformed(rows: rows, channels: columns, isPanelled: false)
    for plane in 0..<36 {
      for row in 0..<rows {
        for column in 0..<columns {
          let sum = (0..<depth).reduce(0.0) { $0 + term(plane, row, column, $1) }
          result.values[result.place(plane, row, column)] = Float(sum)
        }
      }
    }
    return result
  }

  private func greatestDifference(_ values: [Float], _ expected: [Double]) -> Double {
    #expect(values.count == expected.count)
    // Not a number is greater than anything.
    return zip(values, expected).map { abs(Double($0) - $1) }.reduce(0) { $1 <= $0 ? $0 : $1 }
  }

  @Test(arguments: layers, [false, true])
  func outputIsThatOfADirectConvolution(_ layer: Layer, isPanelled: Bool) {
    let (inputs, outputs) = (layer.inputs, layer.outputs)
    let x = randomNumbers(layer.pixels * inputs, seed: 1)
    let w = randomNumbers(9 * inputs * outputs, seed: 2)
    let v = transformed(layer, x, channels: inputs, isPanelled: isPanelled)
    let u = transformedWeights(layer, w)
    let m = products(rows: layer.tiles, columns: outputs, depth: inputs) { v[$0, $1, $3] * u[$0, $3, $2] }

    // Tiles and channels in two parts, to pixels that are further apart.
    let stride = outputs + 3
    var y = [Float](repeating: Self.gap, count: layer.pixels * stride)
    m.values.withUnsafeBufferPointer { m0 in
      y.withUnsafeMutableBufferPointer { y in
        for tiles in [layer.tiles / 2..<layer.tiles, 0..<layer.tiles / 2] {
          for part in [0..<outputs / 2, outputs / 2..<outputs] {
            rd_winograd_output(
              m0.baseAddress! + tiles.lowerBound * m.rowStride + part.lowerBound, m.plane, m.rowStride, layer.height,
              layer.width, stride, part.count, tiles.lowerBound, tiles.count, y.baseAddress! + part.lowerBound)
          }
        }
      }
    }
    #expect(y.indices.allSatisfy { $0 % stride < outputs || y[$0] == Self.gap })

    var expected = [Double](repeating: 0, count: layer.pixels * outputs)
    layer.forEachTap { output, input, tap in
      for c in 0..<inputs {
        for o in 0..<outputs {
          expected[output * outputs + o] += Double(x[input * inputs + c]) * Double(w[(tap * inputs + c) * outputs + o])
        }
      }
    }
    let dense = y.indices.filter { $0 % stride < outputs }.map { y[$0] }
    #expect(greatestDifference(dense, expected) < 1e-4)
  }

  @Test(arguments: layers, [false, true])
  func adjointsGiveTheWeightsGradient(_ layer: Layer, isPanelled: Bool) {
    let (inputs, outputs) = (layer.inputs, layer.outputs)
    let x = randomNumbers(layer.pixels * inputs, seed: 1)
    let dy = randomNumbers(layer.pixels * outputs, seed: 2)
    let v = transformed(layer, x, channels: inputs, isPanelled: !isPanelled)
    let dm = transformed(layer, dy, channels: outputs, isPanelled: isPanelled, adjoint: true)
    let plane = inputs * outputs + 5
    var du = [Float](repeating: .nan, count: 36 * plane)
    let sums = products(rows: inputs, columns: outputs, depth: layer.tiles) { v[$0, $3, $1] * dm[$0, $3, $2] }
    for k in 0..<36 {
      for index in 0..<inputs * outputs { du[k * plane + index] = Float(sums[k, index / outputs, index % outputs]) }
    }
    var dw = [Float](repeating: Self.gap, count: 9 * inputs * outputs + 1)
    rd_winograd_weights_adjoint(du, plane, inputs * outputs, &dw)
    #expect(dw.removeLast() == Self.gap)

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
