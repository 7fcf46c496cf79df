import COneDNN
import Foundation
import Synchronization
import Testing

@Suite(.enabled(if: rd_dnn_available() != 0, "this build holds no oneDNN"))
struct ConvolutionTests {
  /// Every kind of layer that a residual network has, with channels that fill oneDNN's blocks of 16 and that do not.
  static let layers: [Layer] = [
    Layer(16, 16, kernel: 3, padding: 1, height: 8, width: 8, images: 2),
    Layer(64, 64, kernel: 3, padding: 1, height: 7, width: 9, images: 1),
    Layer(24, 70, kernel: 3, padding: 1, height: 9, width: 5, images: 3),
    Layer(70, 24, kernel: 3, padding: 1, height: 5, width: 6, images: 2),
    Layer(3, 16, kernel: 3, padding: 1, height: 11, width: 13, images: 3),
    Layer(64, 64, kernel: 3, stride: 2, padding: 1, height: 8, width: 8, images: 3),
    Layer(16, 24, kernel: 3, stride: 2, padding: 1, height: 9, width: 7, images: 2),
    Layer(70, 64, kernel: 3, stride: 2, padding: 1, height: 7, width: 8, images: 1),
    Layer(3, 70, kernel: 3, stride: 2, padding: 1, height: 13, width: 10, images: 2),
    Layer(64, 24, kernel: 1, height: 7, width: 5, images: 3),
    Layer(70, 70, kernel: 1, height: 6, width: 6, images: 2),
    Layer(3, 64, kernel: 1, height: 5, width: 5, images: 1),
    Layer(64, 70, kernel: 1, stride: 2, height: 9, width: 8, images: 2),
    Layer(24, 16, kernel: 1, stride: 2, height: 7, width: 7, images: 3),
    Layer(3, 64, kernel: 7, stride: 2, padding: 3, height: 32, width: 32, images: 2),
    Layer(3, 24, kernel: 7, stride: 2, padding: 3, height: 17, width: 21, images: 3),
    Layer(64, 16, kernel: 2, stride: 2, transposed: true, height: 4, width: 4, images: 3),
    Layer(70, 24, kernel: 2, stride: 2, transposed: true, height: 5, width: 3, images: 2),
    Layer(24, 70, kernel: 2, stride: 2, transposed: true, height: 3, width: 7, images: 1),
    Layer(3, 64, kernel: 2, stride: 2, transposed: true, height: 6, width: 6, images: 2),
    Layer(16, 3, kernel: 2, stride: 2, transposed: true, height: 7, width: 5, images: 3),
    Layer(16, 24, kernel: 4, stride: 2, padding: 1, transposed: true, height: 5, width: 6, images: 2),
    Layer(1, 1, kernel: 3, padding: 1, height: 1, width: 1, images: 1),
  ]

  /// The layers of ResNets at 128 and 256 pixels that are long in one way or another.
  static let networkLayers: [Layer] = [
    Layer(64, 64, kernel: 3, padding: 1, height: 64, width: 64, images: 4),
    Layer(128, 128, kernel: 3, padding: 1, height: 16, width: 16, images: 16),
    Layer(256, 256, kernel: 3, padding: 1, height: 8, width: 8, images: 16),
    Layer(512, 512, kernel: 3, padding: 1, height: 4, width: 4, images: 16),
    Layer(512, 512, kernel: 3, padding: 1, height: 8, width: 8, images: 8),
    Layer(128, 256, kernel: 3, stride: 2, padding: 1, height: 16, width: 16, images: 16),
    Layer(256, 512, kernel: 1, stride: 2, height: 16, width: 16, images: 16),
    Layer(1024, 512, kernel: 1, height: 8, width: 8, images: 16),
    Layer(256, 64, kernel: 1, height: 32, width: 32, images: 8),
    Layer(3, 64, kernel: 7, stride: 2, padding: 3, height: 64, width: 64, images: 8),
    Layer(512, 256, kernel: 2, stride: 2, transposed: true, height: 8, width: 8, images: 8),
  ]

  @Test(arguments: layers, Layer.Pass.allCases)
  func agreesWithTheDefinition(layer: Layer, pass: Layer.Pass) throws {
    let result = try layer.engine(pass)
    let expected = layer.definition(pass)
    let scale = (expected.reduce(0) { $0 + $1 * $1 } / Double(expected.count)).squareRoot()
    let error = zip(result, expected).reduce(0) { max($0, abs(Double($1.0) - $1.1)) }
    #expect(error < 1e-5 * scale, "error \(error), values around \(scale)")  // false for NaN too
  }

  /// Callers choose how many of a rank's images go into one call, and promise bits that do not depend on it.
  @Test(arguments: layers + networkLayers, [Layer.Pass.forward, .inputGradient])
  func anImageDoesNotDependOnItsCompany(layer: Layer, pass: Layer.Pass) throws {
    let whole = try layer.engine(pass).map(\.bitPattern)
    let size = whole.count / layer.images
    for count in [1, 2, 3, 5] where count < layer.images {
      for first in Set([0, layer.images - count]) {
        let part = try layer.engine(pass, range: first..<first + count).map(\.bitPattern)
        #expect(part.elementsEqual(whole[first * size..<(first + count) * size]), "\(count) images from \(first) on")
      }
    }
  }

  @Test func bitsDoNotDependOnTheThread() throws {
    typealias Bits = [[UInt32]]
    let all: @Sendable () throws -> Bits = {
      try Self.layers.flatMap { layer in try Layer.Pass.allCases.map { try layer.engine($0).map(\.bitPattern) } }
    }
    let expected = try all()
    let results = Mutex<[Result<Bits, any Error>]>([])
    let finished = DispatchSemaphore(value: 0)
    for _ in 0..<4 {
      Thread {
        let result = Result { try all() }
        results.withLock { $0.append(result) }
        finished.signal()
      }.start()
    }
    for _ in 0..<4 { finished.wait() }
    for result in results.withLock({ $0 }) {
      #expect(try result.get() == expected)
    }
  }

  /// A larger call after a smaller one moves the thread's buffer; what was kept for the smaller one must follow.
  @Test func aShapeCanBeUsedAgainAfterALargerOne() throws {
    let (small, large) = (Self.layers[0], Self.networkLayers[4])
    for pass in Layer.Pass.allCases {
      let first = try small.engine(pass).map(\.bitPattern)
      _ = try large.engine(pass)
      #expect(try small.engine(pass).map(\.bitPattern) == first)
    }
  }

  @Test func aCallStartsNoOpenMPTeam() throws {
    guard let symbol = dlsym(nil, "omp_get_max_threads") else { return }  // an oneDNN without OpenMP
    typealias Function = @convention(c) () -> Int32
    let openMPThreads = unsafeBitCast(symbol, to: Function.self)
    let result = Mutex<Int32>(0)
    let finished = DispatchSemaphore(value: 0)
    Thread {
      let failed = (try? Self.layers[0].engine(.forward)) == nil
      result.withLock { $0 = failed ? -1 : openMPThreads() }
      finished.signal()
    }.start()
    finished.wait()
    #expect(result.withLock { $0 } == 1)
  }

  @Test func impossibleLayersAreRefused() {
    let good = Self.layers[5].shape
    let changes: [(String, (inout rd_dnn_shape) -> Void)] = [
      ("output too high", { $0.output_height += 1 }),
      ("output too narrow", { $0.output_width -= 1 }),
      ("no stride", { $0.stride = 0 }),
      ("no kernel", { $0.kernel = 0 }),
      ("negative padding", { $0.padding = -1 }),
      ("no channels", { $0.input_channels = 0 }),
      ("negative channels", { $0.output_channels = -16 }),
      ("no input", { $0.input_height = 0 }),
    ]
    var nothing = [Float](repeating: 7, count: 1)
    for (what, change) in changes {
      var shape = good
      change(&shape)
      #expect(rd_dnn_forward(&shape, 3, [0], [0], &nothing) != 0, "\(what)")
      #expect(String(cString: rd_dnn_error()).contains("3 images"), "\(what)")
    }
    var shape = good
    #expect(rd_dnn_input_gradient(&shape, 0, [0], [0], &nothing) != 0)
    #expect(rd_dnn_weight_gradient(&shape, -1, [0], [0], &nothing) != 0)
    #expect(nothing == [7])
  }

  @Test func theVersionIsOneThatTheCodeKnows() throws {
    let major = try #require(String(cString: rd_dnn_version()).split(separator: ".").first.flatMap { Int($0) })
    #expect((2...3).contains(major))
  }
}
