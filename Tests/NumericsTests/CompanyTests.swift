import Distillation
import TestSupport
import Testing

@testable import Numerics

/// Bits that must not depend on how the work is cut: a rank's results would otherwise depend on how many images it has.
@Suite struct CompanyTests {
  /// The networks' layers where a map is as small as it gets, and where some are small and some are not; besides, maps that are neither
  /// square nor multiples of a tile.
  static let shapes: [ConvolutionShape] =
    networkShapes([.resNet18], imageSize: 32) + networkShapes([.resNet18, .resNet50], imageSize: 64)
    + EngineTests.shapes
    + (Thoroughness.isFull
      ? networkShapes([.wideResNet50x2], imageSize: 32) + networkShapes([.resNet18], imageSize: 96) : [])

  @Test(arguments: shapes)
  func anImageIsTheSameInAnyCompany(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 9)
    for kind in EngineKind.standard {
      for (pass, size) in [(Pass.forward, shape.outputCount), (.inputGradient, shape.inputCount)] {
        let expected = try kind.with(threads: 1) { try example.run(pass, on: $0) }
        for (images, threads) in [(0..<1, 1), (8..<9, 3), (6..<9, 2), (2..<5, 1), (4..<9, 3), (0..<9, 2), (0..<9, 3)] {
          let result = try kind.with(threads: threads) { try example.run(pass, on: $0, images: images) }
          let isSame = sameBits(result, expected[images.lowerBound * size..<images.upperBound * size])
          #expect(isSame, "\(kind), \(pass), images \(images), \(threads) threads")
        }
      }
    }
  }

  @Test(arguments: shapes)
  func weightGradientsDoNotDependOnTheThreads(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 5)
    let shards = [0..<2, 2..<3, 3..<5]
    for kind in EngineKind.standard {
      let expected = try kind.with(threads: 1) { try example.run(.weightGradient, on: $0, shards: shards) }
      for threads in [2, 3] {
        let result = try kind.with(threads: threads) { try example.run(.weightGradient, on: $0, shards: shards) }
        let isSame = sameBits(result, expected)
        #expect(isSame, "\(kind), \(threads) threads")
      }
    }
  }

  /// Many tiles go another way than few, and so does a rank with few images another than one with many. A map has 64, 30 or 4 tiles; from 128
  /// on, or 192 with three threads, they are many.
  @Test(arguments: Precision.allCases, [1, 2, 3])
  func fewTilesAndManyGiveTheSameBits(precision: Precision, threads: Int) throws {
    for (input, output, height, width, images) in [(32, 48, 32, 32, 4), (96, 64, 20, 24, 8), (130, 520, 7, 8, 50)] {
      let shape = ConvolutionShape(
        inputChannels: input, outputChannels: output, kernel: 3, inputHeight: height, inputWidth: width)
      #expect(WinogradConvolution.applies(to: shape))
      let example = Example(shape, images: images)
      try EngineKind.vector(precision, .best).with(threads: threads) { engine in
        for (pass, size) in [(Pass.forward, shape.outputCount), (.inputGradient, shape.inputCount)] {
          let many = try example.run(pass, on: engine)
          for image in [0, images / 2, images - 1] {
            let few = try example.run(pass, on: engine, images: image..<image + 1)
            #expect(sameBits(few, many[image * size..<(image + 1) * size]), "\(shape.text), \(pass)")
          }
        }
      }
    }
  }

  /// Vectors of 256 and of 512 bits compute the same.
  @Test(.enabled(if: Instructions.best >= .avx512), arguments: Precision.allCases)
  func theWidthOfVectorsDoesNotMatter(precision: Precision) throws {
    for shape in EngineTests.shapes {
      let example = Example(shape, images: 3)
      for pass in Pass.allCases {
        let expected = try EngineKind.vector(precision, .avx2).with(threads: 2) { try example.run(pass, on: $0) }
        // In bf16 the instructions made for it round otherwise.
        for wide in Instructions.available where wide >= .avx512 && (precision == .fp32 || wide == .avx512) {
          let result = try EngineKind.vector(precision, wide).with(threads: 2) { try example.run(pass, on: $0) }
          #expect(sameBits(result, expected), "\(shape.text), \(pass), \(wide)")
        }
      }
    }
  }

  /// The last step of an epoch has fewer images than there is room for, and no more room is made then.
  @Test(arguments: [Precision.fp32, .bf16])
  func fewerImagesThanThereIsRoomFor(precision: Precision) throws {
    for shape in networkShapes([.resNet18], imageSize: 64) + EngineTests.shapes {
      let example = Example(shape, images: 16)
      try EngineKind.vector(precision, .best).with(threads: 2) { engine in
        engine.reserve(shape, images: 16, shards: 2)
        let x = FloatBuffer(example.x)
        func forward(_ images: Int) throws -> [Float] {
          var y = [Float](repeating: .nan, count: images * shape.outputCount)
          try engine.forward(
            shape, images: images, x: .fp32(x.pointer), weights: example.weights, into: &y, stored: .fp32)
          return y
        }
        let all = try forward(16)
        for images in [1, 3, 8] {
          #expect(sameBits(try forward(images), all.prefix(images * shape.outputCount)), "\(shape.text), \(images)")
        }
      }
    }
  }
}
