import CVectorKernels
import TestSupport
import Testing

/// Every kernel against its definition in double precision. Channel counts that are no multiple of a vector, and strides that are wider than
/// the channels, are among the cases.
@Suite struct VectorKernelTests {
  private static let rows = 37

  private func isNear(_ value: Float, _ expected: Double, _ tolerance: Double = 1e-5) -> Bool {
    abs(Double(value) - expected) <= tolerance * max(1, abs(expected))
  }

  @Test(arguments: [1, 16, 19, 64])
  func channelMomentsAreAdded(channels: Int) {
    let x = randomNumbers(Self.rows * channels, seed: 1)
    var sum = [Double](repeating: 3, count: channels)
    var squares = [Double](repeating: 5, count: channels)
    rd_channel_moments(x, 0, Self.rows, channels, &sum, &squares)
    for c in 0..<channels {
      let column = (0..<Self.rows).map { Double(x[$0 * channels + c]) }
      #expect(abs(sum[c] - 3 - column.reduce(0, +)) < 1e-12)
      let columnSquares = column.map { $0 * $0 }
      #expect(abs(squares[c] - 5 - columnSquares.reduce(0, +)) < 1e-12)
    }
  }

  @Test(arguments: [(true, true), (true, false), (false, true), (false, false)])
  func affineKeepsToItsChannels(hasResidual: Bool, hasReLU: Bool) {
    let (channels, stride) = (19, 23)
    let x = randomNumbers(Self.rows * channels, seed: 1)
    let (scale, shift) = (randomNumbers(channels, seed: 2), randomNumbers(channels, seed: 3))
    let residual = randomNumbers(Self.rows * channels, seed: 4)
    var y = [Float](repeating: 7, count: Self.rows * stride)
    residual.withUnsafeBufferPointer {
      rd_affine(
        x, 0, scale, shift, hasResidual ? $0.baseAddress : nil, 0, hasReLU ? 1 : 0, &y, 0, stride, Self.rows, channels)
    }
    for r in 0..<Self.rows {
      for c in 0..<stride {
        guard c < channels else {
          #expect(y[r * stride + c] == 7)
          continue
        }
        let index = r * channels + c
        var expected = Double(x[index]) * Double(scale[c]) + Double(shift[c])
        if hasResidual { expected += Double(residual[index]) }
        #expect(isNear(y[r * stride + c], hasReLU ? max(expected, 0) : expected))
      }
    }
  }

  /// Maps in bf16 are read as they are, and results rounded.
  @Test(arguments: [true, false])
  func mapsInBF16(hasReLU: Bool) {
    let (channels, stride) = (38, 42)
    let count = Self.rows * channels
    let (x, residual) = (randomNumbers(count, seed: 1).map(bf16), randomNumbers(count, seed: 2).map(bf16))
    let (a, b, c) = (
      randomNumbers(channels, seed: 3), randomNumbers(channels, seed: 4), randomNumbers(channels, seed: 5)
    )
    let relu: Int32 = hasReLU ? 1 : 0

    var (sums, others) = ([[Double]](repeating: [], count: 2), [[Double]](repeating: [], count: 2))
    for (index, map) in [StoredMap(x), StoredMap(halvesOf: x)].enumerated() {
      var (sum, squares) = ([Double](repeating: 3, count: channels), [Double](repeating: 5, count: channels))
      rd_channel_moments(map.start, map.isBF16, Self.rows, channels, &sum, &squares)
      (sums[index], others[index]) = (sum, squares)
    }
    #expect(sums[0] == sums[1] && others[0] == others[1])

    // Every combination but those in which only the residual or the result is in bf16.
    for added in [nil, StoredMap(residual), StoredMap(halvesOf: residual)] {
      var exact = [Float](repeating: 7, count: Self.rows * stride)
      let plain = added.map { _ in StoredMap(residual) }
      rd_affine(StoredMap(x).start, 0, a, b, plain?.start, 0, relu, &exact, 0, stride, Self.rows, channels)
      var (floats, halves) = (
        [Float](repeating: 7, count: exact.count), [UInt16](repeating: StoredMap.half(7), count: exact.count)
      )
      let map = StoredMap(halvesOf: x)
      rd_affine(
        map.start, 1, a, b, added?.start, added?.isBF16 ?? 0, relu, &floats, 0, stride, Self.rows, channels)
      #expect(floats == exact)
      rd_affine(
        map.start, 1, a, b, added?.start, added?.isBF16 ?? 0, relu, &halves, 1, stride, Self.rows, channels)
      #expect(halves == exact.map(StoredMap.half))
    }

    // In bf16 the residual may be the result's memory, and the gradient the input's.
    let inPlace = StoredMap(halvesOf: residual)
    var expected = [UInt16](repeating: 0, count: count)
    let map = StoredMap(halvesOf: x)
    rd_affine(
      map.start, 1, a, b, StoredMap(halvesOf: residual).start, 1, relu, &expected, 1, channels, Self.rows, channels)
    rd_affine(map.start, 1, a, b, inPlace.start, 1, relu, inPlace.start, 1, channels, Self.rows, channels)
    #expect(inPlace.halves(count) == expected)

    let original = randomNumbers(count, seed: 6)
    let y = randomNumbers(count, seed: 7).map { bf16(max($0, 0)) }
    var gradients: [[Float]] = []
    var allSums: [[Double]] = []
    for (x, y) in [
      (StoredMap(x), StoredMap(y)), (StoredMap(halvesOf: x), StoredMap(halvesOf: y)),
      (StoredMap(halvesOf: x), StoredMap(y)),
    ] {
      var (dy, sum, normalised) = (
        original, [Double](repeating: 3, count: channels), [Double](repeating: 5, count: channels)
      )
      rd_batch_norm_gradient_sums(
        x.start, x.isBF16, a, b, nil, nil, hasReLU ? y.start : nil, y.isBF16, channels, &dy, 0, channels, Self.rows,
        channels, &sum, &normalised)
      gradients.append(dy)
      allSums.append(sum + normalised)
    }
    #expect(gradients.allSatisfy { $0 == gradients[0] } && allSums.allSatisfy { $0 == allSums[0] })

    var exact = [Float](repeating: .nan, count: count)
    rd_batch_norm_input_gradient(x, nil, nil, original, 0, channels, a, b, c, &exact, 0, Self.rows, channels)
    rd_batch_norm_input_gradient(
      map.start, nil, nil, original, 0, channels, a, b, c, map.start, 1, Self.rows, channels)
    #expect(map.halves(count) == exact.map(StoredMap.half))
  }

  @Test func whatIsNoNumberStaysNoneInBF16() {
    let odd = StoredMap(halvesOf: [Float.nan, .infinity, -.infinity, 1])
    for relu: Int32 in [0, 1] {
      var halves = [UInt16](repeating: 7, count: 4)
      rd_affine(odd.start, 1, [1, 1, 1, 3e38], [0, 0, 0, 3e38], nil, 0, relu, &halves, 1, 4, 1, 4)
      let results = halves.map { Float(bitPattern: UInt32($0) << 16) }
      #expect(results[0].isNaN && results[1] == .infinity && results[3] == .infinity)
      #expect(results[2] == (relu == 1 ? 0 : -.infinity))
    }
  }

  /// Without the output, what ReLU let through is seen by the normalised input, in both halves of the backward pass.
  @Test(arguments: [(false, false), (true, false), (true, true)])
  func gradientPassesWhereTheAffineMapIsPositive(isBF16: Bool, isGradientInBF16: Bool) {
    let (channels, stride) = (19, 23)
    let values = randomNumbers(Self.rows * channels, seed: 1)
    let x = isBF16 ? StoredMap(halvesOf: values) : StoredMap(values)
    let (scale, shift) = (randomNumbers(channels, seed: 2), randomNumbers(channels, seed: 3))
    let (a, b, c) = (
      randomNumbers(channels, seed: 5), randomNumbers(channels, seed: 6), randomNumbers(channels, seed: 7)
    )
    var (y, halves) = (
      [Float](repeating: 0, count: Self.rows * stride), [UInt16](repeating: 0, count: Self.rows * stride)
    )
    rd_affine(x.start, x.isBF16, scale, shift, nil, 0, 1, &y, 0, stride, Self.rows, channels)
    if isBF16 { rd_affine(x.start, 1, scale, shift, nil, 0, 1, &halves, 1, stride, Self.rows, channels) }
    #expect(y.contains(0) && y.contains { $0 > 0 })

    /// The sums, and then dx, by the output y or without it.
    func backward(through y: UnsafeRawPointer?, yIsBF16: Int32 = 0) -> ([Double], [UInt16], [Float]) {
      let original = randomNumbers(Self.rows * stride, seed: 4).map(bf16)
      let dy = y == nil && isGradientInBF16 ? StoredMap(halvesOf: original) : StoredMap(original)
      var sums = [Double](repeating: 0, count: 2 * channels)
      sums.withUnsafeMutableBufferPointer {
        rd_batch_norm_gradient_sums(
          x.start, x.isBF16, shift, scale, y == nil ? scale : nil, shift, y, yIsBF16, stride, dy.start, dy.isBF16,
          stride, Self.rows, channels, $0.baseAddress, $0.baseAddress! + channels)
      }
      var (halves, floats) = (
        [UInt16](repeating: 0, count: values.count), [Float](repeating: 0, count: values.count)
      )
      if isBF16 {
        rd_batch_norm_input_gradient(
          x.start, y == nil ? scale : nil, shift, dy.start, dy.isBF16, stride, a, b, c, &halves, 1, Self.rows, channels)
      } else {
        rd_batch_norm_input_gradient(
          x.start, y == nil ? scale : nil, shift, dy.start, dy.isBF16, stride, a, b, c, &floats, 0, Self.rows, channels)
      }
      // What is masked on the way stays as it was, and dx may take the place of x.
      if y == nil {
        let stays =
          isGradientInBF16
          ? dy.halves(original.count) == original.map(StoredMap.half) : dy.floats(original.count) == original
        #expect(stays)
        let inPlace = isBF16 ? StoredMap(halvesOf: values) : StoredMap(values)
        rd_batch_norm_input_gradient(
          inPlace.start, scale, shift, dy.start, dy.isBF16, stride, a, b, c, inPlace.start, inPlace.isBF16, Self.rows,
          channels)
        #expect(isBF16 ? inPlace.halves(values.count) == halves : inPlace.floats(values.count) == floats)
      }
      return (sums, halves, floats)
    }
    let own = backward(through: nil)
    #expect(y.withUnsafeBytes { backward(through: $0.baseAddress) } == own)
    if isBF16 { #expect(halves.withUnsafeBytes { backward(through: $0.baseAddress, yIsBF16: 1) } == own) }
  }

  @Test(arguments: [true, false])
  func batchNormGradientSumsAndInputGradient(hasReLU: Bool) {
    let (channels, stride) = (19, 23)
    let x = randomNumbers(Self.rows * channels, seed: 1)
    let (mean, deviation) = (randomNumbers(channels, seed: 2), randomNumbers(channels, seed: 3))
    let y = randomNumbers(Self.rows * stride, seed: 4)
    let original = randomNumbers(Self.rows * stride, seed: 5)
    var dy = original
    var sum = [Double](repeating: 3, count: channels)
    var normalised = [Double](repeating: 5, count: channels)
    y.withUnsafeBufferPointer {
      rd_batch_norm_gradient_sums(
        x, 0, mean, deviation, nil, nil, hasReLU ? $0.baseAddress : nil, 0, stride, &dy, 0, stride, Self.rows, channels,
        &sum,
        &normalised)
    }
    let (a, b, c) = (
      randomNumbers(channels, seed: 6), randomNumbers(channels, seed: 7), randomNumbers(channels, seed: 8)
    )
    var dx = [Float](repeating: .nan, count: Self.rows * channels)
    rd_batch_norm_input_gradient(x, nil, nil, dy, 0, stride, a, b, c, &dx, 0, Self.rows, channels)
    // In place it makes the same bits.
    var inPlace = x
    inPlace.withUnsafeMutableBufferPointer {
      rd_batch_norm_input_gradient(
        $0.baseAddress, nil, nil, dy, 0, stride, a, b, c, $0.baseAddress, 0, Self.rows, channels)
    }
    #expect(inPlace == dx)
    for channel in 0..<channels {
      var (expectedSum, expectedNormalised) = (3.0, 5.0)
      for r in 0..<Self.rows {
        let (index, strided) = (r * channels + channel, r * stride + channel)
        let g: Float = hasReLU && y[strided] <= 0 ? 0 : original[strided]
        #expect(dy[strided] == g)
        expectedSum += Double(g)
        expectedNormalised += Double(g) * (Double(x[index]) - Double(mean[channel])) * Double(deviation[channel])
        let expected = Double(g) * Double(a[channel]) + Double(x[index]) * Double(b[channel]) + Double(c[channel])
        #expect(isNear(dx[index], expected))
      }
      #expect(abs(sum[channel] - expectedSum) < 1e-12)
      #expect(abs(normalised[channel] - expectedNormalised) < 1e-5)
    }
    for r in 0..<Self.rows {
      for c in channels..<stride { #expect(dy[r * stride + c] == original[r * stride + c]) }
    }
  }

  @Test(arguments: [1, 15, 16, 100])
  func additionCombinationAndInnerProducts(count: Int) {
    let (u, v) = (randomNumbers(count, seed: 1), randomNumbers(count, seed: 2))
    var sum = v
    rd_add(u, &sum, count)
    var combined = [Float](repeating: .nan, count: count)
    rd_combine(0.25, u, -3, v, 0, &combined, count)
    var added = u
    rd_combine(0.25, u, -3, v, 1, &added, count)
    var dots = [1.0, 2.0, 3.0]
    rd_inner_products(u, v, count, &dots)
    for i in 0..<count {
      #expect(sum[i] == u[i] + v[i])
      #expect(isNear(combined[i], 0.25 * Double(u[i]) - 3 * Double(v[i])))
      #expect(isNear(added[i], 1.25 * Double(u[i]) - 3 * Double(v[i])))
    }
    func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
    #expect(abs(dots[0] - 1 - dot(u, v)) < 1e-12)
    #expect(abs(dots[1] - 2 - dot(u, u)) < 1e-12)
    #expect(abs(dots[2] - 3 - dot(v, v)) < 1e-12)
  }

  /// A pixel of u and one of v are zero, and one of v is shorter than the least norm.
  @Test(arguments: [1, 15, 16, 100])
  func pixelDistancesAndTheirGradient(channels: Int) {
    let (leastNorm, factor) = (0.01, 0.25)
    var (u, v) = (randomNumbers(Self.rows * channels, seed: 1), randomNumbers(Self.rows * channels, seed: 2))
    for c in 0..<channels {
      u[3 * channels + c] = 0
      v[5 * channels + c] = 0
      v[7 * channels + c] *= 1e-4
    }
    var distances = [Float](repeating: .nan, count: Self.rows)
    rd_pixel_distances(u, v, Self.rows, channels, Float(leastNorm), &distances)
    var dv = [Float](repeating: .nan, count: Self.rows * channels)
    rd_pixel_distance_gradient(u, v, Self.rows, channels, Float(leastNorm), Float(factor), 0, &dv)
    var added = u
    rd_pixel_distance_gradient(u, v, Self.rows, channels, Float(leastNorm), Float(factor), 1, &added)
    #expect(dv.indices.allSatisfy { abs(added[$0] - (u[$0] + dv[$0])) <= 1e-6 })

    /// The definition, with v's channel `c` moved by `step`.
    func distance(_ pixel: Int, moving channel: Int = 0, by step: Double = 0) -> Double {
      var (uv, uu, vv) = (0.0, 0.0, 0.0)
      for c in 0..<channels {
        let a = Double(u[pixel * channels + c])
        let b = Double(v[pixel * channels + c]) + (c == channel ? step : 0)
        uv += a * b
        uu += a * a
        vv += b * b
      }
      return 1 - uv / (max(uu.squareRoot(), leastNorm) * max(vv.squareRoot(), leastNorm))
    }
    for pixel in 0..<Self.rows {
      #expect(isNear(distances[pixel], distance(pixel)))
      for c in 0..<channels {
        let slope = (distance(pixel, moving: c, by: 1e-6) - distance(pixel, moving: c, by: -1e-6)) / 2e-6
        #expect(isNear(dv[pixel * channels + c], factor * slope))
      }
    }
  }

  /// The algorithm as Kingma and Ba state it: moments, bias corrections, step.
  @Test func fiveAdamSteps() {
    let (count, rate, beta1, beta2, epsilon) = (19, 0.005, 0.5, 0.999, 1e-8)
    var parameter = randomNumbers(count, seed: 1)
    var expected = parameter.map(Double.init)
    var (m, v) = ([Float](repeating: 0, count: count), [Float](repeating: 0, count: count))
    var (m64, v64) = ([Double](repeating: 0, count: count), [Double](repeating: 0, count: count))
    for step in 1...5 {
      let gradient = randomNumbers(count, seed: UInt64(step + 1))
      let (correction1, correction2) = (1 - power(beta1, step), 1 - power(beta2, step))
      rd_adam(
        &parameter, &m, &v, gradient, count, Float(1 - beta1), Float(beta2), Float(1 - beta2),
        Float(rate / correction1), Float(1 / correction2.squareRoot()), Float(epsilon))
      for i in 0..<count {
        let g = Double(gradient[i])
        m64[i] = beta1 * m64[i] + (1 - beta1) * g
        v64[i] = beta2 * v64[i] + (1 - beta2) * g * g
        expected[i] -= rate * (m64[i] / correction1) / ((v64[i] / correction2).squareRoot() + epsilon)
      }
    }
    for i in 0..<count { #expect(isNear(parameter[i], expected[i], 1e-6)) }
  }

  private func power(_ base: Double, _ exponent: Int) -> Double {
    (0..<exponent).reduce(1) { product, _ in product * base }
  }

  /// Windows over the images of a batch. They need not be square, nor cover the image.
  struct Windows: Sendable {
    var height: Int, width: Int, channels: Int
    var windowHeight: Int, windowWidth: Int, stride: Int, top: Int, left: Int
    var rowsHigh: Int, rowsWide: Int
    let images = 2
    var rows: Int { images * rowsHigh * rowsWide }
    var columns: Int { windowHeight * windowWidth * channels }

    init(
      _ height: Int, _ width: Int, channels: Int, windows: (Int, Int), stride: Int, from: (Int, Int), places: (Int, Int)
    ) {
      (self.height, self.width, self.channels, self.stride) = (height, width, channels, stride)
      (windowHeight, windowWidth) = windows
      (top, left) = from
      (rowsHigh, rowsWide) = places
    }

    /// Those of a convolution.
    init(_ height: Int, _ width: Int, channels: Int, kernel: Int, stride: Int, padding: Int) {
      func places(_ side: Int) -> Int { (side + 2 * padding - kernel) / stride + 1 }
      self.init(
        height, width, channels: channels, windows: (kernel, kernel), stride: stride, from: (-padding, -padding),
        places: (places(height), places(width)))
    }

    /// The patch matrix by its definition.
    func matrix(_ x: [Float]) -> [Float] {
      (0..<rows * columns).map { index in
        let (row, column) = (index / columns, index % columns)
        let tap = column / channels
        let i = row / rowsWide % rowsHigh * stride + top + tap / windowWidth
        let j = row % rowsWide * stride + left + tap % windowWidth
        guard i >= 0, i < height, j >= 0, j < width else { return 0 }
        return x[((row / (rowsHigh * rowsWide) * height + i) * width + j) * channels + column % channels]
      }
    }

    func patches(_ x: [Float], rows: Range<Int>, columns: Range<Int>) -> [Float] {
      var patches = [Float](repeating: .nan, count: rows.count * columns.count + 1)
      rd_patches(
        x, height, width, channels, windowWidth, stride, top, left, rowsHigh, rowsWide, rows.lowerBound, rows.count,
        columns.lowerBound, columns.count, &patches)
      #expect(patches.removeLast().isNaN)
      return patches
    }
  }

  private static let convolutions = [
    Windows(5, 7, channels: 3, kernel: 3, stride: 1, padding: 1),
    Windows(6, 5, channels: 19, kernel: 3, stride: 2, padding: 1),
    Windows(9, 8, channels: 3, kernel: 7, stride: 2, padding: 3),
    Windows(4, 6, channels: 2, kernel: 1, stride: 2, padding: 0),
    Windows(1, 1, channels: 2, kernel: 7, stride: 2, padding: 3),
  ]

  private static let otherWindows = [
    Windows(5, 6, channels: 4, windows: (1, 2), stride: 1, from: (0, 0), places: (5, 6)),
    Windows(5, 6, channels: 3, windows: (2, 1), stride: 1, from: (1, -1), places: (4, 8)),
    Windows(7, 4, channels: 5, windows: (2, 4), stride: 3, from: (-2, 2), places: (3, 2)),
    // Some beyond every edge.
    Windows(3, 3, channels: 2, windows: (2, 3), stride: 1, from: (-4, -5), places: (11, 12)),
  ]

  /// The patch matrix element by element, and parts of its rows and columns.
  @Test(arguments: convolutions + otherWindows)
  func patchMatrixAndItsParts(_ windows: Windows) {
    let x = randomNumbers(windows.images * windows.height * windows.width * windows.channels, seed: 1)
    let (rows, columns, channels) = (windows.rows, windows.columns, windows.channels)
    let expected = windows.matrix(x)
    #expect(windows.patches(x, rows: 0..<rows, columns: 0..<columns) == expected)
    // From within a tap to within another, a whole tap, one column, none, and all.
    let ranges = [
      (channels / 2)..<(columns - channels / 3), (columns - channels)..<columns, (columns - 1)..<columns, 0..<0,
      0..<columns,
    ]
    for some in [rows / 3..<rows, rows / 2..<rows / 2 + 1, 0..<0] {
      for range in ranges {
        let part = windows.patches(x, rows: some, columns: range)
        #expect(part == some.flatMap { row in range.map { expected[row * columns + $0] } })
      }
    }
  }

  /// <P x, p> = <x, P* p>
  @Test(arguments: convolutions)
  func adjointOfThePatches(_ windows: Windows) {
    let x = randomNumbers(windows.images * windows.height * windows.width * windows.channels, seed: 1)
    let matrix = windows.matrix(x)
    let patches = randomNumbers(matrix.count, seed: 2)
    var dx = [Float](repeating: .nan, count: x.count)
    rd_patches_adjoint(
      patches, windows.height, windows.width, windows.channels, windows.windowHeight, windows.stride, -windows.top,
      windows.rowsHigh, windows.rowsWide, windows.images, 0, &dx)
    let left = zip(matrix, patches).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    let right = zip(x, dx).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    #expect(abs(left - right) < 1e-4)
  }

  /// Some rows land at their pixels, and nothing else is written.
  @Test(arguments: [(1, 0, 0), (2, 0, 1), (2, 1, 0), (3, 2, 1)])
  func rowsArePlaced(stride: Int, top: Int, left: Int) {
    let (images, down, across, channels, columns) = (2, 3, 5, 7, 4)
    let (height, width) = ((down - 1) * stride + top + 2, (across - 1) * stride + left + 1)
    let rows = images * down * across
    let values = randomNumbers(rows * columns, seed: 1)
    let (first, some) = (4, rows - 7)
    var y = [Float](repeating: 7, count: images * height * width * channels)
    var expected = y
    values.withUnsafeBufferPointer {
      rd_place_rows(
        $0.baseAddress.map { $0 + first * columns }, columns, down, across, first, some, 0, &y, height, width, channels,
        stride, top, left)
    }
    for row in first..<first + some {
      let (image, i, j) = (row / (down * across), row / across % down, row % across)
      let pixel = (image * height + i * stride + top) * width + j * stride + left
      for c in 0..<columns { expected[pixel * channels + c] = values[row * columns + c] }
    }
    #expect(y == expected)
  }

  @Test(arguments: [(8, 8), (7, 5), (1, 1)])
  func maxPoolIgnoresWhatLiesOutside(height: Int, width: Int) {
    let channels = 19
    // All below zero, so that a border of zeros would show.
    let x = randomNumbers(height * width * channels, seed: 1).map { $0 - 2 }
    let (down, across) = ((height + 1) / 2, (width + 1) / 2)
    var y = [Float](repeating: .nan, count: down * across * channels)
    rd_max_pool(x, height, width, channels, &y)
    for oy in 0..<down {
      for ox in 0..<across {
        for c in 0..<channels {
          var largest = -Float.infinity
          for iy in max(2 * oy - 1, 0)...min(2 * oy + 1, height - 1) {
            for ix in max(2 * ox - 1, 0)...min(2 * ox + 1, width - 1) {
              largest = max(largest, x[(iy * width + ix) * channels + c])
            }
          }
          #expect(y[(oy * across + ox) * channels + c] == largest)
        }
      }
    }
  }

  @Test func maxPoolingKeepsWhatIsNoNumber() {
    for place in 0..<9 {
      var x = [Float](repeating: 1, count: 9)
      x[place] = .nan
      var y = [Float](repeating: 0, count: 4)
      rd_max_pool(x, 3, 3, 1, &y)
      // The windows of a 3 x 3 image overlap in its middle row and column.
      for (window, value) in y.enumerated() {
        let (rows, columns) = (window / 2...window / 2 + 1, window % 2...window % 2 + 1)
        #expect(value.isNaN == (rows.contains(place / 3) && columns.contains(place % 3)))
      }
    }
  }
}
