import Numerics
import TestSupport

/// The two engines, by what they are called in configuration files.
enum EngineKind: String, CaseIterable, Sendable {
  case openBLAS, oneDNN

  static var available: [EngineKind] { DirectEngine.isAvailable ? allCases : [.openBLAS] }

  /// Gives `body` an engine whose threads end with it.
  func with<Result>(threads: Int, _ body: (any ConvolutionEngine) throws -> Result) throws -> Result {
    let team = ThreadTeam(count: threads)
    defer { team.finish() }
    return try body(self == .openBLAS ? MatrixProductEngine(team: team) : DirectEngine(team: team))
  }
}

enum Pass: CaseIterable, Sendable { case forward, inputGradient, weightGradient }

/// A layer with numbers for a batch of images.
struct Example: CustomStringConvertible {
  let shape: ConvolutionShape
  let images: Int
  let x, dy, weights: [Float]

  init(_ shape: ConvolutionShape, images: Int) {
    self.shape = shape
    self.images = images
    x = randomNumbers(images * shape.inputCount, seed: 1)
    dy = randomNumbers(images * shape.outputCount, seed: 2)
    weights = randomNumbers(shape.weightCount, seed: 3)
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
  func run(
    _ pass: Pass, on engine: any ConvolutionEngine, images range: Range<Int>? = nil, shards: [Range<Int>]? = nil
  ) throws -> [Float] {
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
    var result = [Float](repeating: .nan, count: count) + [Float](repeating: 7, count: margin)
    try x.withUnsafeBufferPointer { x in
      try dy.withUnsafeBufferPointer { dy in
        try weights.withUnsafeBufferPointer { weights in
          try result.withUnsafeMutableBufferPointer { result in
            let x = x.baseAddress! + range.lowerBound * shape.inputCount
            let dy = dy.baseAddress! + range.lowerBound * shape.outputCount
            let (weights, result) = (weights.baseAddress!, result.baseAddress!)
            switch pass {
            case .forward: try engine.forward(shape, images: range.count, x: x, weights: weights, into: result)
            case .inputGradient:
              try engine.inputGradient(shape, images: range.count, dy: dy, weights: weights, into: result)
            case .weightGradient:
              let largest = engine.largestBlock(shape)
              try engine.weightGradient(shape, shards: shards, x: x, dy: dy) { block, _, partial in
                precondition(block.count <= largest)
                for shard in shards.indices {
                  try partial(shard, result + shard * shape.weightCount + block.lowerBound)
                }
              }
            }
          }
        }
      }
    }
    precondition(result.suffix(margin).allSatisfy { $0 == 7 }, "\(self), \(pass): wrote beyond the end")
    return Array(result.dropLast(margin))
  }
}

extension ConvolutionShape {
  var text: String {
    "\(inputHeight)x\(inputWidth)x\(inputChannels), \(kernel)x\(kernel)\(isTransposed ? " transposed" : ""), "
      + "stride \(stride), to \(outputChannels)"
  }
}

/// The largest error, relative to the root mean square of what is expected; NaN where there is one.
func relativeError(_ values: [Float], _ expected: some Collection<some BinaryFloatingPoint>) -> Double {
  precondition(values.count == expected.count)
  var (squares, largest, hasNaN) = (0.0, 0.0, false)
  for (value, expected) in zip(values, expected) {
    let expected = Double(expected)
    let error = abs(Double(value) - expected)
    hasNaN = hasNaN || error.isNaN
    largest = max(largest, error)
    squares += expected * expected
  }
  return hasNaN ? .nan : largest / (squares / Double(values.count)).squareRoot()
}

func sameBits(_ a: some Sequence<Float>, _ b: some Sequence<Float>) -> Bool {
  a.elementsEqual(b) { $0.bitPattern == $1.bitPattern }
}
