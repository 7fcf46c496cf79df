import CVectorKernels
import Testing

/// The Winograd transforms against a direct convolution in double precision.
@Suite struct VectorKernelTests {
  @Test(arguments: [(8, 8, 16), (7, 5, 19), (4, 4, 3)])
  func winogradEqualsDirectConvolution(height: Int, width: Int, channels: Int) {
    var state: UInt64 = 1
    func random(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(state >> 40) / Float(1 << 23) - 1
      }
    }
    let outputs = 5
    let x = random(height * width * channels)
    let w = random(9 * channels * outputs)
    let tiles = ((height + 3) / 4) * ((width + 3) / 4)
    var u = [Float](repeating: 0, count: 36 * channels * outputs)
    var v = [Float](repeating: 0, count: 36 * tiles * channels)
    var m = [Float](repeating: 0, count: 36 * tiles * outputs)
    var y = [Float](repeating: .nan, count: height * width * outputs)
    rd_winograd_weights(w, channels, outputs, &u)
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
                sum += Double(x[(a * width + b) * channels + c]) * Double(w[((ky * 3 + kx) * channels + c) * outputs + o])
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
