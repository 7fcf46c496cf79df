import Collectives
import Distillation
import Numerics

/// Times the passes of every distinct convolution of teacher and student, in forward order: the forward pass of all, the gradients of those
/// that are trained. Depthwise ones, which are no engine's, are left out: they take little.
func measureLayers(
  _ architecture: Architecture, engine: any ConvolutionEngine, batch: Int, shards: Int, repeats: Int,
  into report: inout Report
) throws {
  let (teacher, student) = (architecture.teacherUnits.map(\.shape), architecture.studentUnits.map(\.shape))
  var seen: Set<ConvolutionShape> = []
  for shape in teacher + student where !shape.isDepthwise && seen.insert(shape).inserted {
    let layer = try Layer(shape, engine: engine, batch: batch, shards: shards)
    let trained = student.count { $0 == shape }
    var passes = [("forward", trained + teacher.count { $0 == shape }, layer.forward)]
    if trained > 0 {
      passes += [
        ("input gradient", trained, layer.inputGradient), ("weight gradient", trained, layer.weightGradient),
      ]
    }
    for (name, uses, pass) in passes {
      try pass()
      let samples = try (0..<repeats).map { _ in try seconds(pass) }
      report.add("\(shape.label) \(name)", samples, work: Double(batch) * shape.work, uses: uses)
    }
  }
}

/// One convolution with random data. All that this program asks of an engine itself is here.
private final class Layer {
  private let shape: ConvolutionShape
  private let engine: any ConvolutionEngine
  private let shards: [Range<Int>]
  private let batch: Int
  private let accumulator: ShardAccumulator
  private let scratch: [FloatBuffer]
  private let x: FloatBuffer
  private let dx: FloatBuffer
  private let y: FloatBuffer
  private let stored: Precision
  private let dy: FloatBuffer
  private let weights: FloatBuffer
  private let gradient: FloatBuffer

  init(_ shape: ConvolutionShape, engine: any ConvolutionEngine, batch: Int, shards: Int) throws {
    self.shape = shape
    self.engine = engine
    self.batch = batch
    self.shards = (0..<shards).map { evenRange($0, of: shards, count: batch) }
    let accumulator = ShardAccumulator(tree: try ShardTree(shards: shards, ranks: 1), rank: 0)
    self.accumulator = accumulator
    let room = accumulator.room(forBlocksOf: engine.largestBlock(shape))
    scratch = (0..<engine.team.count).map { _ in FloatBuffer(room) }
    (x, dx) = (randomBuffer(batch * shape.inputCount), FloatBuffer(batch * shape.inputCount))
    (y, dy) = (FloatBuffer(batch * shape.outputCount), randomBuffer(batch * shape.outputCount))
    // As most of the maps that a student's convolutions read and write.
    stored = shape.inputChannels % 2 == 0 ? engine.precision : .fp32
    if stored == .bf16 { for buffer in [x, dy] { buffer.doubleUpperHalves() } }
    (weights, gradient) = (randomBuffer(shape.weightCount), FloatBuffer(shape.weightCount))
    engine.reserve(shape, images: batch, shards: shards)
  }

  func forward() throws {
    try engine.forward(
      shape, images: batch, x: FeatureMap(x.pointer, stored: stored), weights: weights.pointer, into: y.pointer,
      stored: stored)
  }

  func inputGradient() throws {
    try engine.inputGradient(
      shape, images: batch, channels: shape.inputChannels, dy: FeatureMap(dy.pointer, stored: stored),
      weights: weights.pointer,
      adding: false, into: dx.pointer, stored: stored)
  }

  /// Added up over the shards, as in training.
  func weightGradient() throws {
    try engine.weightGradient(
      shape, shards: shards, x: FeatureMap(x.pointer, stored: stored),
      dy: FeatureMap(dy.pointer, stored: stored)
    ) { block, thread, partial in
      try accumulator.accumulate(
        block, scratch: scratch[thread].pointer, into: gradient.pointer, stride: shape.weightCount, partial: partial)
    }
  }
}

extension FloatBuffer {
  /// Makes two numbers in bf16 of each.
  fileprivate func doubleUpperHalves() {
    for index in 0..<count {
      let bits = pointer[index].bitPattern
      pointer[index] = Float(bitPattern: bits & 0xFFFF_0000 | bits >> 16)
    }
  }
}

extension ConvolutionShape {
  fileprivate var label: String {
    "\(inputChannels)->\(outputChannels) \(isTransposed ? "up " : "")\(kernel)x\(kernel)/\(stride) "
      + "\(inputHeight)x\(inputWidth)"
  }
}
