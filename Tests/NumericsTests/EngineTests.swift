import Distillation
import Synchronization
import TestSupport
import Testing

@testable import Numerics

/// All engines against the definition, and against each other.
@Suite struct EngineTests {
  /// Every kind of layer; between them every way that an engine goes. The comments say which one the vector engine takes.
  static let shapes: [ConvolutionShape] = [
    // Winograd, few tiles; sides that are and are not multiples of a tile.
    shape(32, 32, 3, height: 8, width: 8), shape(40, 33, 3, height: 7, width: 9), shape(64, 32, 3, height: 1, width: 2),
    // Winograd, many tiles.
    shape(32, 48, 3, height: 32, width: 32), shape(33, 32, 3, height: 37, width: 46),
    // Winograd, several blocks of channels.
    shape(130, 200, 3, height: 5, width: 4), shape(200, 130, 3, height: 16, width: 20),
    // The same at stride 2.
    shape(32, 48, 3, 2, height: 32, width: 32), shape(33, 32, 3, 2, height: 37, width: 46),
    shape(130, 200, 3, 2, height: 31, width: 33), shape(200, 130, 3, 2, height: 64, width: 40),
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
    // Depths and widths of more than one block.
    shape(600, 40, 1, height: 6, width: 5), shape(40, 600, 1, height: 33, width: 32),
    shape(150, 130, 3, 2, height: 9, width: 8),
    // Transposed.
    transposed(16, 24, height: 5, width: 3), transposed(64, 32, height: 8, width: 8),
    transposed(70, 3, height: 1, width: 4),
    transposed(48, 64, height: 24, width: 20),
  ]

  // A closure in an attribute is too much for Swift 6.0.
  private static let directShapes = shapes.filter { !WinogradConvolution.applies(to: $0) }

  @Test(arguments: shapes)
  func agreesWithTheDefinition(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 3)
    for pass in Pass.allCases {
      let definition = example.definition(pass)
      for kind in EngineKind.all {
        let error = relativeError(try kind.with(threads: 2) { try example.run(pass, on: $0) }, definition)
        Measured.note("definition \(kind) \(WinogradConvolution.applies(to: shape) ? "Winograd" : "") \(pass)", error)
        #expect(error < kind.tolerance(shape), "\(kind), \(pass)")  // false for NaN too
      }
    }
  }

  /// Factors that bf16 can hold make the same sums in either precision. Those of Winograd's products are none.
  @Test(arguments: directShapes)
  func bf16RoundsNothingButFactors(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 3, bits: 7)
    for pass in Pass.allCases {
      let definition = example.definition(pass)
      for instructions in Instructions.available {
        let error = relativeError(
          try EngineKind.vector(.bf16, instructions).with(threads: 2) { try example.run(pass, on: $0) }, definition)
        Measured.note("bf16 factors \(instructions) \(pass)", error)
        #expect(error < EngineKind.vector(.fp32, instructions).tolerance(shape), "\(instructions), \(pass)")
      }
    }
  }

  /// It makes no difference whether what bf16 can hold is stored in bf16, and what a pass stores so are the same numbers, rounded.
  @Test(arguments: shapes + networkShapes(imageSize: 64))
  func mapsInBF16MakeTheSameBits(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 3, bits: 7)
    for pass in Pass.allCases {
      for instructions in Instructions.available {
        try EngineKind.vector(.bf16, instructions).with(threads: 2) { engine in
          let shards = [0..<1, 1..<1, 1..<3]
          var expected = try example.run(pass, on: engine, shards: shards)
          let channels = pass == .inputGradient ? shape.inputChannels : shape.outputChannels
          if pass != .weightGradient && channels % 2 == 0 { expected = expected.map(bf16) }
          let isSame = sameBits(try example.run(pass, on: engine, shards: shards, stored: .bf16), expected)
          #expect(isSame, "\(instructions), \(pass)")
          if pass == .weightGradient { return }
          let mixed = try example.run(pass, on: engine, shards: shards, outputStored: .bf16)
          let isMixedSame = sameBits(mixed, expected)
          #expect(isMixedSame, "\(instructions), \(pass), only what is made")
        }
      }
    }
  }

  /// The partial sums of shards, one of which has no image, are those of their images.
  @Test(arguments: shapes, EngineKind.standard)
  func weightGradientsAreByShard(shape: ConvolutionShape, kind: EngineKind) throws {
    let example = Example(shape, images: 5)
    try kind.with(threads: 2) { engine in
      let shards = [0..<2, 2..<2, 2..<3, 3..<5]
      let partials = try example.run(.weightGradient, on: engine, shards: shards)
      for (index, shard) in shards.enumerated() {
        let partial = Array(partials[index * shape.weightCount..<(index + 1) * shape.weightCount])
        if shard.isEmpty {
          #expect(partial.allSatisfy { $0 == 0 })
        } else {
          #expect(sameBits(partial, try example.run(.weightGradient, on: engine, images: shard)), "\(shard)")
        }
      }
    }
  }

  /// Frozen weights may go another way, which rounds otherwise, and not for some images only.
  @Test(arguments: shapes)
  func frozenWeightsDoTheSame(shape: ConvolutionShape) throws {
    for kind in EngineKind.standard {
      let example = Example(shape, images: 4)
      try kind.with(threads: 2) { engine in
        let frozen = try example.runFrozen(on: engine)
        let error = relativeError(frozen, try example.run(.forward, on: engine))
        // At most as different as both are wrong.
        #expect(error < 2 * max(kind.tolerance(shape), 1e-4), "\(kind)")
        let one = Example(shape, images: 1)
        #expect(sameBits(try one.runFrozen(on: engine), frozen.prefix(shape.outputCount)), "\(kind)")
      }
    }
  }

  /// What follows a convolution with frozen weights is one addition after the other, and the activation.
  @Test(arguments: shapes)
  func biasResidualAndActivationFollow(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 3)
    let channels = shape.outputChannels
    let bias = randomNumbers(channels, seed: 4)
    let residual = randomNumbers(3 * shape.outputCount, seed: 5)
    for kind in EngineKind.standard {
      try kind.with(threads: 2) { engine in
        let plain = try example.runFrozen(on: engine)
        // The largest sum is far above 6.
        let scaled = bias.map { $0 * 100 }
        for (activation, most) in [(Activation.relu, Float.infinity), (.relu6, 6)] {
          #expect(
            sameBits(
              try example.runFrozen(on: engine, bias: scaled, activation: activation),
              plain.indices.map { min(max(plain[$0] + scaled[$0 % channels], 0), most) }), "\(kind), \(activation)")
        }
        if shape.isTransposed { return }
        #expect(
          sameBits(
            try example.runFrozen(on: engine, bias: bias, residual: residual),
            plain.indices.map { plain[$0] + bias[$0 % channels] + residual[$0] }), "\(kind)")
      }
    }
  }

  /// The gradient of the first channels only is that part of the whole one.
  @Test(arguments: shapes)
  func inputGradientsOfSomeChannels(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 2)
    let some = max(shape.inputChannels * 2 / 3, 1)
    for kind in EngineKind.standard {
      try kind.with(threads: 2) { engine in
        let whole = try example.run(.inputGradient, on: engine)
        let part = try example.run(.inputGradient, on: engine, channels: some)
        let isSame = whole.indices.filter { $0 % shape.inputChannels < some }.allSatisfy {
          whole[$0].bitPattern == part[$0].bitPattern
        }
        #expect(isSame, "\(kind)")
      }
    }
  }

  @Test(arguments: shapes + networkShapes(imageSize: 64))
  func inputGradientsAreAdded(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 2)
    let start = randomNumbers(2 * shape.inputCount, seed: 9)
    for kind in EngineKind.standard {
      try kind.with(threads: 2) { engine in
        let gradient = try example.run(.inputGradient, on: engine)
        let sum = try example.run(.inputGradient, on: engine, addedTo: start)
        let largest = gradient.reduce(1) { max($0, abs($1)) }
        let isSum = sum.indices.allSatisfy { abs(sum[$0] - (start[$0] + gradient[$0])) <= 1e-5 * largest }
        #expect(isSum, "\(kind)")
      }
    }
  }

  /// Blocks hold every weight once, whatever the threads and shards, and none is larger than was said.
  @Test(arguments: shapes + networkShapes(imageSize: 32))
  func blocksCoverTheWeights(shape: ConvolutionShape) throws {
    for kind in EngineKind.standard {
      for (threads, shards) in [(1, 1), (2, 1), (3, 2), (8, 1)] {
        try kind.with(threads: threads) { engine in
          engine.reserve(shape, images: 0, shards: shards)
          let largest = engine.largestBlock(shape)
          let weights = FloatBuffer(shape.weightCount)
          let count = Mutex(0)
          try engine.weightGradient(
            shape, shards: Array(repeating: 0..<0, count: shards), x: .fp32(weights.pointer), dy: .fp32(weights.pointer)
          ) { block, _, _ in
            let ones = [Float](repeating: 1, count: block.count)
            block.scatter(ones, to: weights.pointer)
            count.withLock { $0 += block.count }
            precondition(block.count <= largest, "\(kind), \(threads) threads")
          }
          // So many, and all of them: none is there twice.
          #expect(count.withLock { $0 } == shape.weightCount && weights.values.allSatisfy { $0 == 1 }, "\(kind)")
        }
      }
    }
  }

  /// All layers of all networks, at the size they train at.
  @Test(arguments: networkShapes(imageSize: 256))
  func agreeOnEveryLayerOfTheNetworks(shape: ConvolutionShape) throws {
    let example = Example(shape, images: 1)
    for pass in Pass.allCases {
      let plain = try EngineKind.openBLAS.with(threads: 1) { try example.run(pass, on: $0) }
      for precision in Precision.allCases {
        let kind = EngineKind.vector(precision, .best)
        let error = relativeError(try kind.with(threads: 1) { try example.run(pass, on: $0) }, plain)
        Measured.note(
          "networks \(precision) \(WinogradConvolution.applies(to: shape) ? "Winograd" : "") \(pass)", error)
        #expect(error < kind.tolerance(shape), "\(precision), \(pass)")
      }
    }
  }
}

/// The distinct shapes of all layers of teachers (stage 4 included) and students, but for depthwise ones, which are no engine's.
func networkShapes(_ backbones: [Backbone] = Backbone.allCases, imageSize: Int) -> [ConvolutionShape] {
  var seen: Set<ConvolutionShape> = []
  return backbones.flatMap { backbone in
    [(Fusion.concatenation, BottleneckKind.multiScale), (.convolution, .multiScale), (.concatenation, .pretrained)]
      .flatMap { fusion, bottleneck in
        let architecture = Architecture(
          ModelConfiguration(backbone: backbone, fusion: fusion, bottleneck: bottleneck, imageSize: imageSize))
        return (architecture.teacherUnits + architecture.studentUnits).map(\.shape)
      }
  }.filter { !$0.isDepthwise && seen.insert($0).inserted }
}

extension ConvolutionShape: CustomTestStringConvertible {
  public var testDescription: String { text }
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
