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
    rd_channel_moments(x, Self.rows, channels, &sum, &squares)
    for c in 0..<channels {
      let column = (0..<Self.rows).map { Double(x[$0 * channels + c]) }
      #expect(abs(sum[c] - 3 - column.reduce(0, +)) < 1e-12)
      #expect(abs(squares[c] - 5 - column.reduce(0) { $0 + $1 * $1 }) < 1e-12)
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
        x, scale, shift, hasResidual ? $0.baseAddress : nil, hasReLU ? 1 : 0, &y, stride, Self.rows, channels)
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
        x, mean, deviation, hasReLU ? $0.baseAddress : nil, stride, &dy, stride, Self.rows, channels, &sum, &normalised)
    }
    let (a, b, c) = (
      randomNumbers(channels, seed: 6), randomNumbers(channels, seed: 7), randomNumbers(channels, seed: 8)
    )
    var dx = [Float](repeating: .nan, count: Self.rows * channels)
    rd_batch_norm_input_gradient(x, dy, stride, a, b, c, &dx, Self.rows, channels)
    // In place it makes the same bits.
    var inPlace = x
    inPlace.withUnsafeMutableBufferPointer {
      rd_batch_norm_input_gradient($0.baseAddress, dy, stride, a, b, c, $0.baseAddress, Self.rows, channels)
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
    rd_combine(0.25, u, -3, v, &combined, count)
    var dots = [1.0, 2.0, 3.0]
    rd_inner_products(u, v, count, &dots)
    for i in 0..<count {
      #expect(sum[i] == u[i] + v[i])
      #expect(isNear(combined[i], 0.25 * Double(u[i]) - 3 * Double(v[i])))
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
    rd_pixel_distance_gradient(u, v, Self.rows, channels, Float(leastNorm), Float(factor), &dv)

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

  struct Patches: Sendable {
    var height: Int, width: Int, channels: Int, kernel: Int, stride: Int, padding: Int
    var outHeight: Int { (height + 2 * padding - kernel) / stride + 1 }
    var outWidth: Int { (width + 2 * padding - kernel) / stride + 1 }
  }

  private static let patches = [
    Patches(height: 5, width: 7, channels: 3, kernel: 3, stride: 1, padding: 1),
    Patches(height: 6, width: 5, channels: 19, kernel: 3, stride: 2, padding: 1),
    Patches(height: 9, width: 8, channels: 3, kernel: 7, stride: 2, padding: 3),
    Patches(height: 4, width: 6, channels: 2, kernel: 1, stride: 2, padding: 0),
    Patches(height: 1, width: 1, channels: 2, kernel: 7, stride: 2, padding: 3),
  ]

  /// The patch matrix element by element, parts of its rows and columns, and the adjoint: <P x, p> = <x, P* p>.
  @Test(arguments: patches)
  func patchMatrixItsPartsAndItsAdjoint(_ p: Patches) {
    let images = 2
    let x = randomNumbers(images * p.height * p.width * p.channels, seed: 1)
    let rows = images * p.outHeight * p.outWidth
    let columns = p.kernel * p.kernel * p.channels
    func value(_ row: Int, _ ky: Int, _ kx: Int, _ c: Int) -> Float {
      let pixel = row % (p.outHeight * p.outWidth)
      let y = pixel / p.outWidth * p.stride + ky - p.padding
      let x0 = pixel % p.outWidth * p.stride + kx - p.padding
      guard y >= 0, y < p.height, x0 >= 0, x0 < p.width else { return 0 }
      return x[((row / (p.outHeight * p.outWidth) * p.height + y) * p.width + x0) * p.channels + c]
    }
    var matrix = [Float](repeating: .nan, count: rows * columns)
    rd_patches(
      x, p.height, p.width, p.channels, p.kernel, p.stride, p.padding, p.outHeight, p.outWidth, 0, rows, &matrix)
    var expected: [Float] = []
    for row in 0..<rows {
      for ky in 0..<p.kernel {
        for kx in 0..<p.kernel { for c in 0..<p.channels { expected.append(value(row, ky, kx, c)) } }
      }
    }
    #expect(matrix == expected)

    let (first, some) = (rows / 3, rows - rows / 3)
    var part = [Float](repeating: .nan, count: some * columns)
    rd_patches(
      x, p.height, p.width, p.channels, p.kernel, p.stride, p.padding, p.outHeight, p.outWidth, first, some, &part)
    #expect(part == Array(expected[(first * columns)...]))

    // From within a tap to within another, a whole tap, one column, none, and all.
    let ranges = [
      (p.channels / 2)..<(columns - p.channels / 3), (columns - p.channels)..<columns, (columns - 1)..<columns, 0..<0,
      0..<columns,
    ]
    for range in ranges {
      var block = [Float](repeating: .nan, count: some * range.count)
      rd_patch_columns(
        x, p.height, p.width, p.channels, p.kernel, p.stride, p.padding, p.outHeight, p.outWidth, first, some,
        range.lowerBound, range.count, &block)
      #expect(block == (first..<rows).flatMap { row in range.map { expected[row * columns + $0] } })
    }

    let weights = randomNumbers(matrix.count, seed: 2)
    var dx = [Float](repeating: .nan, count: x.count)
    rd_patches_adjoint(
      weights, p.height, p.width, p.channels, p.kernel, p.stride, p.padding, p.outHeight, p.outWidth, images, &dx)
    let left = zip(matrix, weights).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    let right = zip(x, dx).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    #expect(abs(left - right) < 1e-4)
  }

  /// Blocks of pixels land where they belong, and nothing else is written.
  @Test(arguments: [1, 2, 4])
  func patchesArePlacedAsBlocks(factor: Int) {
    let (images, down, across, channels) = (2, 3, 5, 7)
    let (rows, length) = (images * down * across, factor * factor * channels)
    let patches = randomNumbers(rows * length, seed: 1)
    let (first, some) = (4, rows - 7)
    var y = [Float](repeating: 7, count: rows * length)
    patches.withUnsafeBufferPointer {
      rd_place_patches($0.baseAddress.map { $0 + first * length }, across, channels, factor, first, some, &y)
    }
    for row in 0..<rows {
      let (image, block) = (row / (down * across), row % (down * across))
      for (dy, dx) in (0..<factor).flatMap({ dy in (0..<factor).map { (dy, $0) } }) {
        let line = (image * down + block / across) * factor + dy
        let pixel = line * across * factor + block % across * factor + dx
        for c in 0..<channels {
          let isWritten = row >= first && row < first + some
          let expected = patches[row * length + (dy * factor + dx) * channels + c]
          #expect(y[pixel * channels + c] == (isWritten ? expected : 7))
        }
      }
    }
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
}
