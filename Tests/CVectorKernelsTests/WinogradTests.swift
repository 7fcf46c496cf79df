import CVectorKernels
import TestSupport
import Testing

/// The Winograd transforms against a direct convolution in double precision.
@Suite struct WinogradTests {
  @Test(arguments: [(8, 8, 16), (7, 5, 19), (4, 4, 3)])
  func winogradEqualsDirectConvolution(height: Int, width: Int, channels: Int) {
    let outputs = 5
    let x = randomNumbers(height * width * channels, seed: 1)
    let w = randomNumbers(9 * channels * outputs, seed: 2)
    let tiles = ((height + 3) / 4) * ((width + 3) / 4)
    var u = [Float](repeating: 0, count: 36 * channels * outputs)
    var v = [Float](repeating: 0, count: 36 * tiles * channels)
    var m = [Float](repeating: 0, count: 36 * tiles * outputs)
    var y = [Float](repeating: .nan, count: height * width * outputs)
    // In two parts, as threads share the work; neither is a whole number of vectors.
    let (plane, first) = (channels * outputs, channels * outputs / 3)
    rd_winograd_weights(w, plane, first, plane - first, &u)
    rd_winograd_weights(w, plane, 0, first, &u)
    rd_winograd_input(x, height, width, channels, 0, tiles, &v, tiles * channels)
    for k in 0..<36 {
      for t in 0..<tiles {
        for o in 0..<outputs {
          m[(k * tiles + t) * outputs + o] = (0..<channels).reduce(0) {
            $0 + v[(k * tiles + t) * channels + $1] * u[(k * channels + $1) * outputs + o]
          }
        }
      }
    }
    rd_winograd_output(m, tiles * outputs, height, width, outputs, 0, tiles, &y)
    var worst = 0.0
    for i in 0..<height {
      for j in 0..<width {
        for o in 0..<outputs {
          var sum = 0.0
          for ky in 0..<3 {
            for kx in 0..<3 {
              let (a, b) = (i + ky - 1, j + kx - 1)
              guard a >= 0, a < height, b >= 0, b < width else { continue }
              for c in 0..<channels {
                let weight = w[((ky * 3 + kx) * channels + c) * outputs + o]
                sum += Double(x[(a * width + b) * channels + c]) * Double(weight)
              }
            }
          }
          worst = max(worst, abs(sum - Double(y[(i * width + j) * outputs + o])))
        }
      }
    }
    #expect(worst < 1e-4)
  }
}
