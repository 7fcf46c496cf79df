import CVectorKernels
import Collectives
import Foundation
@testable import Network
import Numerics
import TestSupport
import Testing

@testable import Distillation

/// Single layers against PyTorch in double precision.
@Suite struct LayerTests {
  struct File: Decodable {
    let layers: [Layer]
    let maxPooling: [Pooling]
    let losses: [Loss]
  }

  struct Layer: Decodable {
    let name: String
    let kernel, stride: Int
    let transposed: Bool
    let batch, height, width, inputs, outputs, outputHeight, outputWidth: Int
    let xF4, weightF4, gammaF4, betaF4, gradientF4: Data
    let residualF4: Data?
    let variants: [Variant]
  }

  struct Variant: Decodable {
    let residual, relu: Bool
    let yF8, runningMeanF8, runningVarF8, xGradientF8, weightGradientF8, gammaGradientF8, betaGradientF8: Data
    let residualGradientF8: Data?
  }

  struct Pooling: Decodable {
    let batch, height, width, channels: Int
    let xF4, yF4: Data
  }

  struct Loss: Decodable {
    let name: String
    let loss: DistillationLoss
    let batch, height, width, channels: Int
    let targetF4, outputF4: Data
    let value: Double
    let gradientF8: Data?
  }

  @Test(arguments: EngineKind.exact, [(1, 1), (2, 1), (1, 2)])
  func normalizedConvolution(kind: EngineKind, shardsAndThreads: (Int, Int)) throws {
    let (shards, threads) = shardsAndThreads
    for layer in try fixture("layers", in: .module, as: File.self).layers {
      for variant in layer.variants {
        try kind.with(threads: threads) {
          try compare(layer, variant, engine: $0, shards: shards)
        }
      }
    }
  }

  /// In bf16 numbers are off by some roundings, and single gradients as a whole where they are on the other side of a ReLU.
  @Test(arguments: [1, 2])
  func normalizedConvolutionInBF16(shards: Int) throws {
    for layer in try fixture("layers", in: .module, as: File.self).layers {
      for variant in layer.variants {
        try EngineKind.vectorInBF16.with(threads: 2) {
          try compare(layer, variant, engine: $0, shards: shards, error: typicalError, tolerance: 0x1p-4)
        }
      }
    }
  }

  /// Gradients that bf16 can hold give the same bits wherever they are stored, and what is made in their place is the same, rounded.
  @Test(arguments: [
    ConvolutionShape(inputChannels: 8, outputChannels: 40, kernel: 1, inputHeight: 6, inputWidth: 6),
    ConvolutionShape(inputChannels: 34, outputChannels: 36, kernel: 3, inputHeight: 10, inputWidth: 9),
    ConvolutionShape(inputChannels: 64, outputChannels: 32, kernel: 3, stride: 2, inputHeight: 32, inputWidth: 32),
    ConvolutionShape(upsampling: 2, inputChannels: 32, outputChannels: 8, inputHeight: 4, inputWidth: 4),
  ])
  func gradientsInBF16MakeTheSameBits(shape: ConvolutionShape) throws {
    let (images, shards) = (3, 2)
    let numbers = randomNumbers(images * shape.outputCount, seed: 4).map(bf16)
    func halves(_ values: [Float]) -> [Float] {
      stride(from: 0, to: values.count, by: 2).map {
        Float(bitPattern: values[$0].bitPattern >> 16 | values[$0 + 1].bitPattern)
      }
    }
    /// The gradients of input, weights, scale and shift.
    func gradients(stored: Precision) throws -> (dx: [Float], parameters: [Float]) {
      try EngineKind.vectorInBF16.with(threads: 2) { engine in
        let step = TrainingStep(
          engine: engine, tree: try ShardTree(shards: shards, ranks: 1), communicator: LocalCommunicator(),
          capacity: images)
        let unit = NormalizedConvolution(
          UnitDescription(convolution: "conv", normalization: "bn", shape: shape), step: step)
        let parameters = step.parameters
        parameters.allocate(nodes: step.accumulator.nodes.count)
        for (index, value) in randomNumbers(shape.weightCount, seed: 5).enumerated() {
          parameters.weights.values[index] = value
        }
        for index in 0..<shape.outputChannels {
          (parameters.affine.values[index], parameters.statistics.values[shape.outputChannels + index]) = (1, 1)
        }
        let x = FloatBuffer(randomNumbers(images * shape.inputCount, seed: 6))
        let y = FloatBuffer(images * shape.outputCount)
        // One memory for dy, and then dx.
        let room = FloatBuffer(images * max(shape.inputCount, shape.outputCount))
        for (index, value) in (stored == .bf16 ? halves(numbers) : numbers).enumerated() { room.pointer[index] = value }
        step.begin(imagesPerShard: counts(images, shards: shards), batch: images)
        try unit.forward(x.pointer, images: images, into: y.pointer)
        try unit.backward(
          room.pointer, stored: stored, x: .fp32(x.pointer), into: room.pointer, dxStored: stored)
        let gradients =
          Array(UnsafeBufferPointer(start: parameters.weightGradients, count: shape.weightCount))
          + parameters.affineGradients.values
        return (Array(room.values.prefix(stored.words(images * shape.inputCount))), gradients)
      }
    }
    let (floats, rounded) = (try gradients(stored: .fp32), try gradients(stored: .bf16))
    #expect(floats.dx.contains { $0 != 0 } && floats.parameters.allSatisfy(\.isFinite))
    #expect(rounded.parameters == floats.parameters)
    #expect(rounded.dx.map(\.bitPattern) == halves(floats.dx.map(bf16)).map(\.bitPattern))
  }

  /// - Parameter error: of a tensor's numbers, relative to those expected.
  private func compare(
    _ layer: Layer, _ variant: Variant, engine: any ConvolutionEngine, shards: Int,
    error: (_ values: [Float], _ expected: [Double]) -> Double = largestError, tolerance: Double = 1e-5
  ) throws {
    let shape =
      layer.transposed
      ? ConvolutionShape(
        upsampling: 2, inputChannels: layer.inputs, outputChannels: layer.outputs, inputHeight: layer.height,
        inputWidth: layer.width)
      : ConvolutionShape(
        inputChannels: layer.inputs, outputChannels: layer.outputs, kernel: layer.kernel, stride: layer.stride,
        inputHeight: layer.height, inputWidth: layer.width)
    #expect(shape.outputHeight == layer.outputHeight && shape.outputWidth == layer.outputWidth)

    let step = TrainingStep(
      engine: engine, tree: try ShardTree(shards: shards, ranks: 1), communicator: LocalCommunicator(),
      capacity: layer.batch)
    let unit = NormalizedConvolution(
      UnitDescription(
        convolution: "conv", normalization: "bn", shape: shape, activation: variant.relu ? .relu : .linear), step: step)
    let parameters = step.parameters
    parameters.allocate(nodes: step.accumulator.nodes.count)
    let weights = FloatBuffer(shape.weights(fromTorch: layer.weightF4.numbers()))
    parameters.weights.values.update(from: weights.pointer, count: weights.count)
    for (index, value) in (layer.gammaF4.numbers(Float.self) + layer.betaF4.numbers()).enumerated() {
      parameters.affine.values[index] = value
    }
    for index in 0..<layer.outputs {
      parameters.statistics.values[index] = 0
      parameters.statistics.values[layer.outputs + index] = 1
    }

    let x = FloatBuffer(layer.xF4.numbers())
    let residual = variant.residual ? FloatBuffer(try #require(layer.residualF4).numbers()) : nil
    let (y, dy, dx) = (
      FloatBuffer(layer.batch * shape.outputCount), FloatBuffer(layer.gradientF4.numbers()),
      FloatBuffer(layer.batch * shape.inputCount)
    )
    step.begin(imagesPerShard: counts(layer.batch, shards: shards), batch: layer.batch)
    try unit.forward(
      .fp32(x.pointer), images: layer.batch, residual: residual.map { .fp32($0.pointer) },
      into: y.pointer, stored: .fp32, stride: layer.outputs)
    let again = FloatBuffer(y.count)
    try unit.forwardAgain(
      .fp32(x.pointer), residual: residual.map { .fp32($0.pointer) }, into: again.pointer, stored: .fp32)
    #expect(again.values == y.values, "\(layer.name): not the same again")
    if unit.hiddenPrecision == .bf16 {
      let hidden = FloatBuffer(y.count / 2)
      try unit.forwardAgain(
        .fp32(x.pointer), residual: residual.map { .fp32($0.pointer) }, into: hidden.pointer, stored: .bf16)
      let numbers = hidden.values.flatMap {
        [Float(bitPattern: $0.bitPattern << 16), Float(bitPattern: $0.bitPattern & 0xFFFF_0000)]
      }
      #expect(numbers == y.values.map(bf16), "\(layer.name): not the same, rounded")
    }
    try unit.backward(
      dy.pointer, through: residual.map { _ in .fp32(y.pointer) }, x: .fp32(x.pointer), into: dx.pointer)

    let statistics = Array(UnsafeBufferPointer(start: parameters.statistics.values, count: 2 * layer.outputs))
    let affine = parameters.affineGradients.values
    var results: [(String, [Float], Data)] = [
      ("y", y.values, variant.yF8), ("running mean", Array(statistics.prefix(layer.outputs)), variant.runningMeanF8),
      ("running variance", Array(statistics.suffix(layer.outputs)), variant.runningVarF8),
      ("x's gradient", dx.values, variant.xGradientF8),
      ("weights' gradient", shape.torchWeights(from: parameters.weightGradients), variant.weightGradientF8),
      ("scale's gradient", Array(affine.prefix(layer.outputs)), variant.gammaGradientF8),
      ("shift's gradient", Array(affine.suffix(layer.outputs)), variant.betaGradientF8),
    ]
    // The gradient behind ReLU is that of the residual.
    if let expected = variant.residualGradientF8 { results.append(("residual's gradient", dy.values, expected)) }
    for (what, values, expected) in results {
      let error = error(values, expected.numbers())
      Measured.note("layer, \(engine.precision), \(what)", error)
      #expect(error < tolerance, "\(layer.name), residual \(variant.residual), ReLU \(variant.relu): \(what)")
    }
  }

  @Test func maxPooling() throws {
    for pooling in try fixture("layers", in: .module, as: File.self).maxPooling {
      let x = pooling.xF4.numbers(Float.self)
      let expected = pooling.yF4.numbers(Float.self)
      let (size, outputSize) = (x.count / pooling.batch, expected.count / pooling.batch)
      let y = FloatBuffer(expected.count)
      for image in 0..<pooling.batch {
        x.withUnsafeBufferPointer {
          rd_max_pool(
            $0.baseAddress! + image * size, pooling.height, pooling.width, pooling.channels,
            y.pointer + image * outputSize)
        }
      }
      #expect(y.values == expected)
    }
  }

  /// The fixture's tensors are one scale of the smallest network, with zeros for the channels that they do not have; student and teacher
  /// agree at the other scales.
  @Test func losses() throws {
    for example in try fixture("layers", in: .module, as: File.self).losses {
      let architecture = Architecture(ModelConfiguration(backbone: .resNet18, loss: example.loss, imageSize: 32))
      #expect(architecture.side(ofScale: 2) == example.height && example.height == example.width)
      try EngineKind.openBLAS.with(threads: 2) { engine in
        let step = TrainingStep(
          engine: engine, tree: try ShardTree(shards: 2, ranks: 1), communicator: LocalCommunicator(),
          capacity: example.batch)
        let loss = LossFunction(architecture, step: step)
        step.begin(imagesPerShard: counts(example.batch, shards: 2), batch: example.batch)

        let channels = architecture.channels(ofScale: 2)
        func widened(_ data: Data) -> FloatBuffer {
          let values = data.numbers(Float.self)
          let buffer = FloatBuffer(example.batch * architecture.featureCount(ofScale: 2))
          for (index, value) in values.enumerated() {
            buffer.pointer[index / example.channels * channels + index % example.channels] = value
          }
          return buffer
        }
        let (target, output) = (widened(example.targetF4), widened(example.outputF4))
        let same = [1, 3].map {
          FloatBuffer(Array(repeating: 1, count: example.batch * architecture.featureCount(ofScale: $0)))
        }
        func features(_ second: FloatBuffer) -> Features {
          Features(scales: [same[0], second, same[1]].map { UnsafePointer($0.pointer) }, embedding: nil)
        }
        let value = try loss.forward(teacher: features(target), student: features(output))
        Measured.note("loss, value", abs(value - example.value))
        #expect(abs(value - example.value) < 1e-6, "\(example.name), \(example.loss)")

        guard let expected = example.gradientF8?.numbers(Double.self) else { return }
        let gradient = FloatBuffer(output.count)
        try loss.backward(
          scale: 2, teacher: features(target), student: features(output), adding: false, into: gradient.pointer)
        let values = expected.indices.map {
          gradient.pointer[$0 / example.channels * channels + $0 % example.channels]
        }
        let error = largestError(values, expected)
        Measured.note("loss, gradient", error)
        #expect(error < 1e-5, "\(example.name), \(example.loss)")
      }
    }
  }
}

/// The largest error, relative to the largest magnitude of what is expected.
/// The root of the mean square, likewise.
private func typicalError(_ values: [Float], _ expected: [Double]) -> Double {
  guard values.count == expected.count else { return .infinity }
  let squares = zip(values, expected).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
  return (squares / expected.reduce(0) { $0 + $1 * $1 }).squareRoot()
}

private func largestError(_ values: [Float], _ expected: [Double]) -> Double {
  guard values.count == expected.count else { return .infinity }
  let errors = zip(values, expected).map { abs(Double($0) - $1) }
  return errors.contains { $0.isNaN } ? .nan : errors.max()! / expected.map(abs).max()!
}
