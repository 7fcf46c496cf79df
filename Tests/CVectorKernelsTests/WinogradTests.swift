import CVectorKernels
import TestSupport
import Testing

/// The Winograd transforms against direct convolutions of stride 1 and 2 and their gradients in double precision. Maps that are no whole number
/// of tiles, channel counts that are no multiple of a vector, pixels and planes with gaps, and both layouts of transformed channels are among
/// the cases.
@Suite struct WinogradTests {
  private static let images = 2

  struct Map: Sendable {
    let height, width, channels: Int
    var pixels: Int { images * height * width }
    var count: Int { pixels * channels }
  }

  struct Layer: Sendable {
    let stride: Int32
    let input, output: Map
    let definition: ConvolutionDefinition

    init(stride: Int, height: Int, width: Int, inputs: Int, outputs: Int) {
      self.stride = Int32(stride)
      input = Map(height: height, width: width, channels: inputs)
      output = Map(height: (height - 1) / stride + 1, width: (width - 1) / stride + 1, channels: outputs)
      definition = ConvolutionDefinition(
        inputChannels: inputs, outputChannels: outputs, kernel: 3, stride: stride, padding: 1, isTransposed: false,
        inputHeight: height, inputWidth: width, outputHeight: output.height, outputWidth: output.width)
    }

    var weights: Int { 9 * input.channels * output.channels }
    var tilesHigh: Int { (output.height + 3) / 4 }
    var tilesWide: Int { (output.width + 3) / 4 }
    var tiles: Int { images * tilesHigh * tilesWide }

    /// Three parts, the last one first. The second goes from one image to the other.
    func parts(of rows: Int) -> [Range<Int>] { (0..<3).reversed().map { $0 * rows / 3..<($0 + 1) * rows / 3 } }

    var points: Int { stride == 1 ? 6 : 9 }
    var planes: Int { points * points }

    /// The plane of the weights that meets a plane of tiles.
    func weightPlane(_ plane: Int) -> Int { 6 * min(plane / points, 5) + min(plane % points, 5) }
  }

  private static let layers = [
    Layer(stride: 1, height: 8, width: 8, inputs: 16, outputs: 5),
    Layer(stride: 1, height: 7, width: 5, inputs: 19, outputs: 33),
    Layer(stride: 1, height: 4, width: 4, inputs: 40, outputs: 70),
    Layer(stride: 1, height: 1, width: 2, inputs: 2, outputs: 1),
    Layer(stride: 1, height: 9, width: 17, inputs: 64, outputs: 32),
    Layer(stride: 2, height: 16, width: 16, inputs: 16, outputs: 5),
    Layer(stride: 2, height: 13, width: 10, inputs: 19, outputs: 33),
    Layer(stride: 2, height: 7, width: 8, inputs: 40, outputs: 70),
    Layer(stride: 2, height: 2, width: 1, inputs: 2, outputs: 1),
    Layer(stride: 2, height: 18, width: 33, inputs: 64, outputs: 32),
    Layer(stride: 2, height: 17, width: 23, inputs: 33, outputs: 48),
  ]

  private static let gap: Float = 7

  /// Matrices, a gap between one and the next, in panels or row by row.
  private struct Transformed {
    let planes, rows, channels: Int
    let isPanelled: Bool
    var values: [Float]

    init(planes: Int, rows: Int, channels: Int, isPanelled: Bool) {
      (self.planes, self.rows, self.channels, self.isPanelled) = (planes, rows, channels, isPanelled)
      values = []
      values = Array(repeating: gap, count: planes * plane)
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
      for plane in 0..<planes {
        for row in 0..<rows {
          for channel in 0..<(isPanelled ? panels(channels) * panel : channels) {
            let place = place(plane, row, channel)
            // A pair of zeros may have signs.
            let isZero = others[place].bitPattern & 0x7FFF_7FFF == 0
            guard channel < channels || isZero || others[place] == gap else { return false }
            others[place] = gap
          }
        }
      }
      return others.allSatisfy { $0 == gap }
    }
  }

  private enum Transform { case input, outputAdjoint, stridedGradient }

  /// The tiles of a map, transformed in parts; channels in two of which one is a whole panel, as blocks are. Pixels are three floats further apart
  /// than they have channels.
  private func transformed(
    _ layer: Layer, _ x: [Float], of map: Map, by transform: Transform, isPanelled: Bool, pairing: Int = RD_SINGLE,
    isBF16: Bool = false
  ) -> Transformed {
    let (channels, high, wide) = (map.channels, layer.tilesHigh, layer.tilesWide)
    let isInColumns = pairing == RD_PAIRED_COLUMNS
    func words(_ channels: Int) -> Int { isInColumns ? (channels + 1) / 2 : channels }
    var result = Transformed(
      planes: layer.planes, rows: pairing == RD_PAIRED_ROWS ? Self.images * ((high * wide + 1) / 2) : layer.tiles,
      channels: words(channels), isPanelled: isPanelled)
    let (plane, rowStride, panelStride) = (
      result.plane, result.rowStride, isInColumns ? result.panelStride / 2 : result.panelStride
    )
    let spread = spread(x, channels: channels)
    for part in channels > panel ? [0..<panel, panel..<channels] : [0..<channels] {
      let x = isBF16 ? StoredMap(halvesOf: spread[part.lowerBound...]) : StoredMap(spread[part.lowerBound...])
      for rows in layer.parts(of: result.rows) {
        let place = result.place(0, rows.lowerBound, words(part.lowerBound))
        result.values.withUnsafeMutableBufferPointer { values in
          let v = values.baseAddress! + place
          if transform == .stridedGradient {
            rd_winograd_strided_gradient(
              Int32(pairing), x.start, x.isBF16, map.height, map.width, channels + 3, part.count, high, wide,
              rows.lowerBound, rows.count, v, plane, rowStride, panelStride)
          } else {
            (transform == .input ? rd_winograd_input : rd_winograd_output_adjoint)(
              layer.stride, Int32(pairing), x.start, x.isBF16, map.height, map.width, channels + 3, part.count,
              high, wide, rows.lowerBound, rows.count, v, plane, rowStride, panelStride)
          }
        }
      }
    }
    let isIntact = result.keepsToItsPlaces()
    #expect(isIntact)
    return result
  }

  /// Values of bf16 are the same as floats.
  @Test(arguments: layers)
  func bf16IsReadAsItIs(_ layer: Layer) {
    let x = (randomNumbers(layer.input.count, seed: 1).map(bf16), layer.input)
    let dy = (randomNumbers(layer.output.count, seed: 2).map(bf16), layer.output)
    for (numbers, map, transform) in [
      (x.0, x.1, Transform.input), (dy.0, dy.1, .outputAdjoint), (dy.0, dy.1, .stridedGradient),
    ] where transform != .stridedGradient || layer.stride == 2 {
      for pairing in [RD_SINGLE, RD_PAIRED_COLUMNS, RD_PAIRED_ROWS] {
        func planes(isBF16: Bool) -> [UInt32] {
          transformed(layer, numbers, of: map, by: transform, isPanelled: false, pairing: pairing, isBF16: isBF16)
            .values.bits
        }
        let isSame = planes(isBF16: true) == planes(isBF16: false)
        #expect(isSame, "\(transform), \(pairing)")
      }
    }
  }

  private func spread(_ x: [Float], channels: Int) -> [Float] {
    let gap = [Float](repeating: .nan, count: 3)
    return (0..<x.count / channels).flatMap { row -> [Float] in x[row * channels..<(row + 1) * channels] + gap }
  }

  /// Weights are always in panels, and so are blocks of their rows and columns.
  private func transformedWeights(
    _ layer: Layer, _ weights: [Float], inputs: Int, outputs: Int, pairing: Int = RD_SINGLE
  ) -> Transformed {
    let isPaired = pairing == RD_PAIRED_ROWS
    var result = Transformed(
      planes: 36, rows: isPaired ? (inputs + 1) / 2 : inputs, channels: outputs, isPanelled: true)
    let (plane, panelStride) = (result.plane, result.panelStride)
    let cut = inputs / 4 * 2
    for rows in [0..<cut, cut..<inputs] {
      for columns in outputs > panel ? [0..<panel, panel..<outputs] : [0..<outputs] {
        let place = result.place(0, isPaired ? rows.lowerBound / 2 : rows.lowerBound, columns.lowerBound)
        let weights = Array(weights[(rows.lowerBound * outputs + columns.lowerBound)...])
        result.values.withUnsafeMutableBufferPointer { u in
          rd_winograd_weights(
            layer.stride, Int32(pairing), weights, inputs * outputs, outputs, rows.count, columns.count,
            u.baseAddress! + place, plane, panelStride)
        }
      }
    }
    let isIntact = result.keepsToItsPlaces()
    #expect(isIntact)
    return result
  }

  /// Pairs are what is transformed without them, rounded; an odd one out is joined by zero.
  @Test(arguments: layers)
  func pairsAreRoundedValues(_ layer: Layer) {
    let (inputs, outputs) = (layer.input.channels, layer.output.channels)
    func compare(_ pairs: Transformed, _ name: String, _ expected: (_ plane: Int, _ row: Int, _ channel: Int) -> UInt32)
    {
      var isSame = true
      for plane in 0..<pairs.planes {
        for row in 0..<pairs.rows {
          for channel in 0..<pairs.channels {
            let word = pairs.values[pairs.place(plane, row, channel)].bitPattern
            isSame = isSame && word == expected(plane, row, channel)
          }
        }
      }
      #expect(isSame, "\(name)")
    }
    func value(_ single: Transformed, _ plane: Int, _ row: Int, _ channel: Int) -> Float {
      single.values[single.place(plane, row, channel)]
    }

    let perImage = layer.tilesHigh * layer.tilesWide
    let rowsPerImage = (perImage + 1) / 2
    let x = (randomNumbers(layer.input.count, seed: 1), layer.input)
    let dy = (randomNumbers(layer.output.count, seed: 2), layer.output)
    for (numbers, map, transform) in [
      (x.0, x.1, Transform.input), (dy.0, dy.1, .outputAdjoint), (dy.0, dy.1, .stridedGradient),
    ] where transform != .stridedGradient || layer.stride == 2 {
      let single = transformed(layer, numbers, of: map, by: transform, isPanelled: false)
      let columns = transformed(
        layer, numbers, of: map, by: transform, isPanelled: false, pairing: RD_PAIRED_COLUMNS)
      compare(columns, "\(transform), columns") { plane, row, word in
        pair(
          value(single, plane, row, 2 * word),
          2 * word + 1 < map.channels ? value(single, plane, row, 2 * word + 1) : 0)
      }
      for isPanelled in [false, true] {
        let rows = transformed(
          layer, numbers, of: map, by: transform, isPanelled: isPanelled, pairing: RD_PAIRED_ROWS)
        compare(rows, "\(transform), rows") { plane, row, channel in
          let (image, first) = (row / rowsPerImage, row % rowsPerImage * 2)
          return pair(
            value(single, plane, image * perImage + first, channel),
            first + 1 < perImage ? value(single, plane, image * perImage + first + 1, channel) : 0)
        }
      }
    }
    let weights = randomNumbers(layer.weights, seed: 3)
    let single = transformedWeights(layer, weights, inputs: inputs, outputs: outputs)
    let pairs = transformedWeights(layer, weights, inputs: inputs, outputs: outputs, pairing: RD_PAIRED_ROWS)
    compare(pairs, "weights") { plane, row, channel in
      pair(
        value(single, plane, 2 * row, channel), 2 * row + 1 < inputs ? value(single, plane, 2 * row + 1, channel) : 0)
    }
  }

  /// The product of each plane, row by row.
  private func products(
    _ layer: Layer, rows: Int, columns: Int, depth: Int,
    _ term: (_ plane: Int, _ row: Int, _ column: Int, _ depth: Int) -> Double
  ) -> Transformed {
    var result = Transformed(planes: layer.planes, rows: rows, channels: columns, isPanelled: false)
    for plane in 0..<layer.planes {
      for row in 0..<rows {
        for column in 0..<columns {
          let sum = (0..<depth).reduce(0.0) { $0 + term(plane, row, column, $1) }
          result.values[result.place(plane, row, column)] = Float(sum)
        }
      }
    }
    return result
  }

  /// The products of transformed tiles and weights.
  private func products(_ layer: Layer, _ v: Transformed, _ u: Transformed) -> Transformed {
    products(layer, rows: layer.tiles, columns: u.channels, depth: u.rows) {
      v[$0, $1, $3] * u[layer.weightPlane($0), $3, $2]
    }
  }

  /// What follows an output's transform.
  private struct Ending {
    var bias, residual: [Float]?
    var relu = false
  }

  /// The map of products, tiles and channels in parts, to pixels that are further apart.
  private func collected(
    _ layer: Layer, _ m: Transformed, to map: Map, isStridedGradient: Bool = false, ending: Ending = Ending(),
    isBF16: Bool = false
  ) -> [Float] {
    let (channels, stride, high, wide) = (map.channels, map.channels + 3, layer.tilesHigh, layer.tilesWide)
    // Room for another image, into which tiles of the last one may not reach.
    var y = [Float](repeating: Self.gap, count: (map.pixels + map.height * map.width) * stride)
    let halves = StoredMap(halvesOf: y)
    let residual = ending.residual.map { spread($0, channels: channels) }
    for part in [0..<channels / 2, channels / 2..<channels] {
      let bias = ending.bias.map { Array($0[part]) }
      let residual = residual.map { Array($0[part.lowerBound...]) }
      for tiles in layer.parts(of: layer.tiles) {
        let m0 = Array(m.values[m.place(0, tiles.lowerBound, part.lowerBound)...])
        y.withUnsafeMutableBufferPointer { values in
          let y = values.baseAddress! + part.lowerBound
          if isStridedGradient {
            rd_winograd_strided_input_gradient(
              m0, m.plane, m.rowStride, map.height, map.width, stride, part.count, high, wide, tiles.lowerBound,
              tiles.count, 0, y, 0)
          } else {
            rd_winograd_output(
              layer.stride, m0, m.plane, m.rowStride, map.height, map.width, stride, part.count, high, wide,
              tiles.lowerBound, tiles.count, bias, residual, ending.relu ? 1 : 0, 0,
              isBF16 ? halves.start + 2 * part.lowerBound : UnsafeMutableRawPointer(y), isBF16 ? 1 : 0)
          }
        }
      }
    }
    if isBF16 { y = halves.halves(y.count).map { Float(bitPattern: UInt32($0) << 16) } }
    func isResult(_ index: Int) -> Bool { index < map.pixels * stride && index % stride < channels }
    #expect(y.indices.allSatisfy { isResult($0) || y[$0] == Self.gap })
    return y.indices.filter(isResult).map { y[$0] }
  }

  private func greatestDifference(_ values: [Float], _ expected: [Double]) -> Double {
    #expect(values.count == expected.count)
    // Not a number is greater than anything.
    return zip(values, expected).map { abs(Double($0) - $1) }.reduce(0) { $1 <= $0 ? $0 : $1 }
  }

  @Test(arguments: layers, [false, true])
  func outputIsThatOfADirectConvolution(_ layer: Layer, isPanelled: Bool) {
    let (inputs, outputs) = (layer.input.channels, layer.output.channels)
    let x = randomNumbers(layer.input.count, seed: 1)
    let w = randomNumbers(layer.weights, seed: 2)
    let bias = randomNumbers(outputs, seed: 3)
    let residual = randomNumbers(layer.output.count, seed: 4)
    let v = transformed(layer, x, of: layer.input, by: .input, isPanelled: isPanelled)
    let m = products(layer, v, transformedWeights(layer, w, inputs: inputs, outputs: outputs))
    let sums = layer.definition.forward(images: Self.images, x: x, weights: w)

    let rounded = collected(layer, m, to: layer.output, isBF16: true)
    let isRounded = rounded == collected(layer, m, to: layer.output).map(bf16)
    #expect(isRounded)
    for ending in [
      Ending(), Ending(bias: bias), Ending(bias: bias, relu: true), Ending(bias: bias, residual: residual),
      Ending(bias: bias, residual: residual, relu: true),
    ] {
      let expected = sums.indices.map {
        let y = sums[$0] + Double(ending.bias?[$0 % outputs] ?? 0) + Double(ending.residual?[$0] ?? 0)
        return ending.relu ? max(y, 0) : y
      }
      #expect(greatestDifference(collected(layer, m, to: layer.output, ending: ending), expected) < 1e-4)
    }
  }

  @Test(arguments: layers, [false, true])
  func adjointsGiveTheWeightsGradient(_ layer: Layer, isPanelled: Bool) {
    let (inputs, outputs) = (layer.input.channels, layer.output.channels)
    let x = randomNumbers(layer.input.count, seed: 1)
    let dy = randomNumbers(layer.output.count, seed: 2)
    let v = transformed(layer, x, of: layer.input, by: .input, isPanelled: !isPanelled)
    let dm = transformed(layer, dy, of: layer.output, by: .outputAdjoint, isPanelled: isPanelled)
    let sums = products(layer, rows: inputs, columns: outputs, depth: layer.tiles) { v[$0, $3, $1] * dm[$0, $3, $2] }
    let (count, plane) = (inputs * outputs, inputs * outputs + 5)
    var du = (0..<36 * plane).map { $0 % plane < count ? 0 : Float.nan }
    for k in 0..<layer.planes {
      for index in 0..<count {
        du[layer.weightPlane(k) * plane + index] += Float(sums[k, index / outputs, index % outputs])
      }
    }
    var dw = [Float](repeating: Self.gap, count: layer.weights + panel)
    rd_winograd_weights_adjoint(layer.stride, du, plane, count, &dw)
    #expect(dw[layer.weights...].allSatisfy { $0 == Self.gap })

    let expected = layer.definition.weightGradient(images: Self.images, x: x, dy: dy)
    #expect(greatestDifference(Array(dw[..<layer.weights]), expected) < 1e-4)
  }

  /// With the weights turned by half a turn and transposed.
  @Test(arguments: layers, [false, true])
  func inputGradientIsThatOfADirectConvolution(_ layer: Layer, isPanelled: Bool) {
    let (inputs, outputs, isStrided) = (layer.input.channels, layer.output.channels, layer.stride == 2)
    let dy = randomNumbers(layer.output.count, seed: 1)
    let w = randomNumbers(layer.weights, seed: 2)
    let turned = (0..<layer.weights).map {
      let (tap, output, input) = ($0 / (inputs * outputs), $0 / inputs % outputs, $0 % inputs)
      return w[((8 - tap) * inputs + input) * outputs + output]
    }
    let v = transformed(
      layer, dy, of: layer.output, by: isStrided ? .stridedGradient : .input, isPanelled: isPanelled)
    let m = products(layer, v, transformedWeights(layer, turned, inputs: outputs, outputs: inputs))
    let dx = collected(layer, m, to: layer.input, isStridedGradient: isStrided)

    let expected = layer.definition.inputGradient(images: Self.images, dy: dy, weights: w)
    #expect(greatestDifference(dx, expected) < 1e-4)
  }
}
