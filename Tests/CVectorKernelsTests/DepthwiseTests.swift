import CVectorKernels
import Testing

@Suite struct DepthwiseTests {
  /// Every window, also those that reach over an edge, against the sum that defines it. Numbers are such that sums are exact.
  @Test(arguments: [(3, 1, 1), (3, 2, 0), (3, 2, 1), (5, 1, 2), (5, 2, 1)], [(7, 9), (2, 3), (8, 6)])
  func isTheSumOverEachWindow(window: (kernel: Int, stride: Int, padding: Int), size: (height: Int, width: Int)) {
    let (kernel, stride, padding) = window
    let (height, width, channels) = (size.height, size.width, 32)
    let (high, wide) = ((height - 1) / stride + 1, (width - 1) / stride + 1)
    let x = (0..<height * width * channels).map { Float($0 * 37 % 23 - 11) }
    let weights = (0..<kernel * kernel * channels).map { Float($0 * 29 % 17 - 8) }
    var y = [Float](repeating: .nan, count: high * wide * channels + 1)
    // The first row by itself, then the others.
    for rows in [0..<1, 1..<high] {
      y.withUnsafeMutableBufferPointer {
        rd_depthwise(
          x, height, width, channels, weights, kernel, stride, padding, wide, rows.lowerBound, rows.count,
          $0.baseAddress! + rows.lowerBound * wide * channels)
      }
    }
    #expect(y.removeLast().isNaN, "wrote beyond the end")
    for index in y.indices {
      let (pixel, channel) = index.quotientAndRemainder(dividingBy: channels)
      var sum: Float = 0
      for tap in 0..<kernel * kernel {
        let row = pixel / wide * stride - padding + tap / kernel
        let column = pixel % wide * stride - padding + tap % kernel
        guard (0..<height).contains(row), (0..<width).contains(column) else { continue }
        sum += x[(row * width + column) * channels + channel] * weights[tap * channels + channel]
      }
      #expect(y[index] == sum, "at \(index)")
    }
  }
}
