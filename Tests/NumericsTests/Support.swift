import Foundation
import TestSupport

@testable import Numerics

/// The engines in all their variants.
enum EngineKind: Hashable, Sendable {
  case openBLAS
  case vector(Precision, Instructions)

  /// As they come without being told more.
  static let standard = [openBLAS, vector(.fp32, .best), vector(.bf16, .best)]
  /// With all instructions that the processor has.
  static let all =
    [openBLAS] + Precision.allCases.flatMap { precision in Instructions.available.map { vector(precision, $0) } }

  /// Gives `body` an engine whose threads end with it.
  func with<Result>(threads: Int, _ body: (any ConvolutionEngine) throws -> Result) throws -> Result {
    let team = ThreadTeam(count: threads)
    defer { team.finish() }
    return switch self {
    case .openBLAS: try body(MatrixProductEngine(team: team))
    case .vector(let precision, let instructions):
      try body(VectorEngine(team: team, precision: precision, instructions: instructions))
    }
  }

  /// The relative error that a layer's result may have, at most.
  ///
  /// A number loses at most 2^-8 of itself in bf16; uniform numbers typically 2^-8 / sqrt(7), and products sqrt(2) times as much. Losses are
  /// independent, so a sum of products typically loses the same share of what it typically is: 2^-9. The largest of some millions is within
  /// eight times that. Winograd's transforms, between which values are rounded, make up to ten times as much of it.
  func tolerance(_ shape: ConvolutionShape) -> Double {
    switch self {
    case .vector(.fp32, _) where WinogradConvolution.applies(to: shape): 1e-4
    case .vector(.bf16, _): WinogradConvolution.applies(to: shape) ? 10 * 0x1p-6 : 0x1p-6
    default: 5e-5
    }
  }
}

extension Instructions {
  static let available = allCases.filter { $0 <= best }
}

enum Pass: CaseIterable, Sendable { case forward, inputGradient, weightGradient }

/// A layer with numbers for a batch of images.
struct Example: CustomStringConvertible {
  let shape: ConvolutionShape
  let images: Int
  let x, dy, weights: [Float]

  /// - Parameter bits: of each number's magnitude; 7 bits are what bf16 always holds.
  init(_ shape: ConvolutionShape, images: Int, bits: Int = 23) {
    func numbers(_ count: Int, seed: UInt64) -> [Float] {
      let numbers = randomNumbers(count, seed: seed)
      if bits == 23 { return numbers }
      let unit = Float(sign: .plus, exponent: -bits, significand: 1)
      return numbers.map { ($0 / unit).rounded() * unit }
    }
    self.shape = shape
    self.images = images
    x = numbers(images * shape.inputCount, seed: 1)
    dy = numbers(images * shape.outputCount, seed: 2)
    weights = numbers(shape.weightCount, seed: 3)
  }

  var description: String { "\(images) x \(shape.text)" }

  func definition(_ pass: Pass) -> [Double] {
    let definition = ConvolutionDefinition(
      inputChannels: shape.inputChannels, outputChannels: shape.outputChannels, kernel: shape.kernel,
      stride: shape.stride, padding: shape.padding, isTransposed: shape.isTransposed, inputHeight: shape.inputHeight,
      inputWidth: shape.inputWidth, outputHeight: shape.outputHeight, outputWidth: shape.outputWidth)
    return switch pass {
    case .forward: definition.forward(images: images, x: x, weights: weights)
    case .inputGradient: definition.inputGradient(images: images, dy: dy, weights: weights)
    case .weightGradient: definition.weightGradient(images: images, x: x, dy: dy)
    }
  }

  /// A pass over some of the images. The result starts as NaN, so that what is not written or only added to shows, and is followed by a
  /// margin that must stay as it was.
  /// - Parameter shards: of the weight gradient, counted from the first of the images; their partial sums follow each other. One of all
  ///   images without.
  /// - Parameter channels: of the input gradient; all without.
  /// - Parameter start: what the input gradient is added to, where it is.
  /// - Parameter stored: how x, y, dy and dx are, of those whose channels are even; a dx that is added to is not.
  /// - Parameter outputStored: how y or dx is, if not as the others.
  func run(
    _ pass: Pass, on engine: any ConvolutionEngine, images range: Range<Int>? = nil, shards: [Range<Int>]? = nil,
    channels: Int? = nil, addedTo start: [Float]? = nil, stored: Precision = .fp32, outputStored: Precision? = nil
  ) throws -> [Float] {
    func input(_ values: [Float], channels: Int, images: Range<Int>) -> (FloatBuffer, Precision) {
      let count = values.count / self.images
      let some = Array(values[images.lowerBound * count..<images.upperBound * count])
      if stored == .fp32 || channels % 2 == 1 { return (FloatBuffer(some), .fp32) }
      return (
        FloatBuffer(
          Swift.stride(from: 0, to: some.count, by: 2).map {
            Float(bitPattern: some[$0].bitPattern >> 16 | some[$0 + 1].bitPattern & 0xFFFF_0000)
          }), .bf16
      )
    }
    let range = range ?? 0..<images
    let shards = shards ?? [0..<range.count]
    engine.reserve(shape, images: range.count, shards: shards.count)
    let margin = 64
    let count =
      switch pass {
      case .forward: range.count * shape.outputCount
      case .inputGradient: range.count * shape.inputCount
      case .weightGradient: shards.count * shape.weightCount
      }
    var result = [Float](repeating: .nan, count: count + margin)
    if let start { result.replaceSubrange(..<count, with: start) }
    for index in count..<count + margin { result[index] = 7 }
    let (xBuffer, xStored) = input(x, channels: shape.inputChannels, images: range)
    let (dyBuffer, dyStored) = input(dy, channels: shape.outputChannels, images: range)
    let x = FeatureMap(xBuffer.pointer, stored: xStored)
    let dy = FeatureMap(dyBuffer.pointer, stored: dyStored)
    func outputPrecision(channels: Int) -> Precision { channels % 2 == 1 ? .fp32 : outputStored ?? stored }
    let yStored = outputPrecision(channels: shape.outputChannels)
    let dxStored = start == nil ? outputPrecision(channels: shape.inputChannels) : .fp32
    try weights.withUnsafeBufferPointer { weights in
      try result.withUnsafeMutableBufferPointer { result in
        let (weights, result) = (weights.baseAddress!, result.baseAddress!)
        switch pass {
        case .forward:
          try engine.forward(shape, images: range.count, x: x, weights: weights, into: result, stored: yStored)
        case .inputGradient:
          try engine.inputGradient(
            shape, images: range.count, channels: channels ?? shape.inputChannels, dy: dy, weights: weights,
            adding: start != nil, into: result, stored: dxStored)
        case .weightGradient:
          let largest = engine.largestBlock(shape)
          // Side by side for all threads.
          let blocks = FloatBuffer(engine.team.count * (largest + margin))
          try engine.weightGradient(shape, shards: shards, x: x, dy: dy) { block, thread, partial in
            precondition(block.count <= largest)
            let values = blocks.pointer + thread * (largest + margin)
            for shard in shards.indices {
              values.update(repeating: .nan, count: block.count)
              (values + block.count).update(repeating: 7, count: margin)
              let sum = try partial(shard, values)
              precondition((0..<margin).allSatisfy { values[block.count + $0] == 7 }, "wrote beyond a block")
              block.scatter(sum, to: result + shard * shape.weightCount)
            }
          }
        }
      }
    }
    precondition(result.suffix(margin).allSatisfy { $0 == 7 }, "\(self), \(pass): wrote beyond the end")
    result.removeLast(margin)
    if pass == .forward && yStored == .bf16 || pass == .inputGradient && dxStored == .bf16 {
      precondition(result.suffix(count / 2).allSatisfy(\.isNaN), "wrote more than half")
      return result.prefix(count / 2).flatMap {
        [Float(bitPattern: $0.bitPattern << 16), Float(bitPattern: $0.bitPattern & 0xFFFF_0000)]
      }
    }
    return result
  }
}

extension Example {
  /// The forward pass with frozen weights, and with what may follow it.
  func runFrozen(
    on engine: any ConvolutionEngine, bias: [Float]? = nil, residual: [Float]? = nil,
    activation: Activation = .linear
  ) throws -> [Float] {
    let bias = FloatBuffer(bias ?? [Float](repeating: 0, count: shape.outputChannels))
    let rest = residual.map { FloatBuffer($0) }
    let frozen = try engine.freeze(weights, of: shape, images: images)
    engine.reserve(shape, images: images, shards: 0)
    var result = [Float](repeating: .nan, count: images * shape.outputCount)
    try engine.forward(
      shape, images: images, x: x, weights: frozen,
      epilogue: Epilogue(bias: bias.pointer, residual: rest.map { UnsafePointer($0.pointer) }, activation: activation),
      into: &result)
    return result
  }
}

extension ConvolutionShape {
  var text: String {
    "\(inputHeight)x\(inputWidth)x\(inputChannels), \(kernel)x\(kernel)\(isTransposed ? " transposed" : ""), "
      + "stride \(stride), to \(outputChannels)"
  }
}

/// The largest error, relative to the root mean square of what is expected and not zero; NaN where there is one.
func relativeError(_ values: [Float], _ expected: some Collection<some BinaryFloatingPoint>) -> Double {
  precondition(values.count == expected.count)
  var (squares, count, largest, hasNaN) = (0.0, 0, 0.0, false)
  for (value, expected) in zip(values, expected) {
    let expected = Double(expected)
    let error = abs(Double(value) - expected)
    hasNaN = hasNaN || error.isNaN
    largest = max(largest, error)
    squares += expected * expected
    count += expected == 0 ? 0 : 1
  }
  return hasNaN ? .nan : largest / (squares / Double(max(count, 1))).squareRoot()
}

func sameBits(_ a: [Float], _ b: some Collection<Float>) -> Bool {
  guard a.count == b.count else { return false }
  return a.withUnsafeBytes { a in
    b.withContiguousStorageIfAvailable { memcmp(a.baseAddress!, $0.baseAddress!, a.count) == 0 } ?? false
  }
}
