import Distillation
import Foundation
import TestSupport
import Testing

@testable import Numerics

/// Both engines against the definition, and against each other.
@Suite struct EngineTests {
  /// Every kind of layer; between them every way that an engine goes. The comments say which one the matrix products take.
  static let shapes: [ConvolutionShape] = [
    // Winograd, all images' tiles together; sides that are and are not multiples of a tile.
    shape(32, 32, 3, height: 8, width: 8), shape(40, 33, 3, height: 7, width: 9), shape(64, 32, 3, height: 1, width: 2),
    // Winograd, an image in blocks of tiles.
    shape(32, 48, 3, height: 32, width: 32), shape(33, 32, 3, height: 37, width: 46),
    // Patches.
    shape(8, 16, 3, height: 6, width: 4), shape(31, 64, 3, height: 9, width: 7),
    shape(64, 31, 3, height: 16, width: 16),
    shape(3, 20, 3, height: 40, width: 33), shape(1, 1, 3, height: 1, width: 1),
    // Stride 2.
    shape(16, 24, 3, 2, height: 9, width: 7), shape(64, 48, 3, 2, height: 16, width: 16),
    shape(5, 3, 3, 2, height: 64, width: 50),
    // Pixels.
    shape(24, 70, 1, height: 7, width: 5), shape(96, 128, 1, height: 16, width: 16),
    shape(64, 16, 1, height: 1, width: 1),
    shape(24, 16, 1, 2, height: 7, width: 7), shape(128, 160, 1, 2, height: 16, width: 16),
    // The stem.
    shape(3, 64, 7, 2, height: 32, width: 32), shape(3, 24, 7, 2, height: 17, width: 21),
    // Transposed.
    transposed(16, 24, height: 5, width: 3), transposed(64, 32, height: 8, width: 8),
    transposed(70, 3, height: 1, width: 4),
    transposed(48, 64, height: 24, width: 20),
  ]

  @Test(arguments: shapes, EngineKind.available)
  func agreesWithTheDefinition(shape: ConvolutionShape, kind: EngineKind) throws {
    let example = Example(shape, images: 3)
    for pass in Pass.allCases {
      let error = relativeError(
        try kind.with(threads: 2) { try example.run(pass, on: $0) }, example.definition(pass))
      Measured.note("definition \(kind) \(WinogradConvolution.applies(to: shape) ? "3x3" : "other") \(pass)", error)
      // Winograd's transforms round more than sums do.
      let tolerance = kind == .openBLAS && WinogradConvolution.applies(to: shape) ? 1e-4 : 2e-5
      #expect(error < tolerance, "\(shape.text), \(pass)")  // false for NaN too
    }
  }

  /// The partial sums of shards, one of which has no image, are those of their images.
  @Test(arguments: shapes, EngineKind.available)
  func weightGradientsAreByShard(shape: ConvolutionShape, kind: EngineKind) throws {
    let example = Example(shape, images: 5)
    try kind.with(threads: 2) { engine in
      let shards = [0..<2, 2..<2, 2..<3, 3..<5]
      let partials = try example.run(.weightGradient, on: engine, shards: shards)
      for (index, shard) in shards.enumerated() {
        let partial = partials[index * shape.weightCount..<(index + 1) * shape.weightCount]
        if shard.isEmpty {
          #expect(partial.allSatisfy { $0 == 0 })
        } else {
          #expect(sameBits(partial, try example.run(.weightGradient, on: engine, images: shard)), "\(shard)")
        }
      }
    }
  }

  /// All layers of all networks, at the size they train at.
  @Test(
    .enabled(if: DirectEngine.isAvailable, "this build holds no oneDNN"), arguments: Backbone.allCases)
  func agreeOnEveryLayerOfTheNetworks(backbone: Backbone) throws {
    for shape in networkShapes([backbone], imageSize: 256) {
      let example = Example(shape, images: 1)
      for pass in Pass.allCases {
        let ours = try EngineKind.openBLAS.with(threads: 2) { try example.run(pass, on: $0) }
        let oracle = try EngineKind.oneDNN.with(threads: 2) { try example.run(pass, on: $0) }
        let error = relativeError(ours, oracle)
        Measured.note("networks \(WinogradConvolution.applies(to: shape) ? "3x3" : "other") \(pass)", error)
        #expect(error < 1e-4, "\(shape.text), \(pass)")
      }
    }
  }
}

/// The distinct shapes of all layers of teachers (stage 4 included) and students.
func networkShapes(_ backbones: [Backbone] = Backbone.allCases, imageSize: Int) -> [ConvolutionShape] {
  var seen: Set<ConvolutionShape> = []
  return backbones.flatMap { backbone in
    [(Fusion.concatenation, BottleneckKind.multiScale), (.convolution, .multiScale), (.concatenation, .pretrained)]
      .flatMap { fusion, bottleneck in
        let architecture = Architecture(
          ModelConfiguration(backbone: backbone, fusion: fusion, bottleneck: bottleneck, imageSize: imageSize))
        return (architecture.teacherUnits + architecture.studentUnits).map(\.shape)
      }
  }.filter { seen.insert($0).inserted }
}

private func shape(
  _ input: Int, _ output: Int, _ kernel: Int, _ stride: Int = 1, height: Int, width: Int
) -> ConvolutionShape {
  ConvolutionShape(
    inputChannels: input, outputChannels: output, kernel: kernel, stride: stride, inputHeight: height, inputWidth: width
  )
}

private func transposed(_ input: Int, _ output: Int, height: Int, width: Int) -> ConvolutionShape {
  ConvolutionShape(
    upsampling: 2, inputChannels: input, outputChannels: output, inputHeight: height, inputWidth: width)
}
