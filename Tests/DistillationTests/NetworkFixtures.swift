import Collectives
import Foundation
import Network
import Numerics
import RandomStreams
import TensorFiles
import TestSupport
import Testing

@testable import Distillation

// What scripts/fixtures/network.py does not store but draws: weights and images.

/// Numbers in [-1, 1), 24 bits.
func uniform(_ count: Int, seed: UInt64, name: String) -> [Float] {
  var stream = SplitMix64(seed, name: name)
  return (0..<count).map { _ in Float(Int32(truncatingIfNeeded: stream.next() >> 32) >> 8) * 0x1p-23 }
}

/// A batch of images, NHWC.
func fixtureImages(_ name: String, batch: Int, size: Int, seed: UInt64) -> [Float] {
  let numbers = uniform(batch * 3 * size * size, seed: seed, name: name)
  let pixels = size * size
  var images = numbers
  for image in 0..<batch {
    for pixel in 0..<pixels {
      for channel in 0..<3 {
        images[(image * pixels + pixel) * 3 + channel] = 2 * numbers[(image * 3 + channel) * pixels + pixel]
      }
    }
  }
  return images
}

/// The tensors of some units.
func fixtureTensors(_ units: [UnitDescription], of backbone: Backbone, seed: UInt64) -> [NamedTensor] {
  units.flatMap { unit in
    unit.tensors.map { name, shape in
      var values = uniform(shape.reduce(1, *), seed: seed, name: name)
      let (shift, scale) = affineRule(name, of: unit, backbone)
      for index in values.indices { values[index] = shift + scale * values[index] }
      return NamedTensor(name: name, shape: shape, values: values)
    }
  }
}

private func affineRule(_ name: String, of unit: UnitDescription, _ backbone: Backbone) -> (shift: Float, scale: Float)
{
  let outputs = Double(unit.shape.isDepthwise ? 1 : unit.shape.outputChannels)
  let parts = unit.normalization.split(separator: ".")
  // Not of the teacher's inverted residual blocks, in which rounding errors grow little.
  let isLastOfBlock =
    parts.last == (backbone.hasBottleneckBlocks ? "bn3" : "bn2") && parts.dropLast().last.flatMap { Int($0) } != nil
  return switch name {
  case "\(unit.convolution).weight" where unit.shape.isTransposed: (0, Float(1 / (4 * outputs).squareRoot()))
  case "\(unit.convolution).weight":
    (0, Float((3.0).squareRoot() * (2 / (outputs * Double(unit.shape.kernel * unit.shape.kernel))).squareRoot()))
  case "\(unit.normalization).weight": isLastOfBlock ? (0.25, 0.0625) : (1, 0.25)
  case "\(unit.normalization).bias": (1, 0.25)
  case "\(unit.normalization).running_mean": (0, 0.1)
  default: (1, 0.5)
  }
}

/// A tensor as the fixtures keep it: norm, largest magnitude and some samples.
struct Summary: Decodable, Sendable {
  let name: String
  let norm: Double
  let max: Double
  let indices: Data
  let f8: Data

  /// The largest error of the norm, relative to it, and of the samples, relative to the tensor's largest magnitude.
  func error(of values: UnsafeBufferPointer<Float>) -> Double {
    let norm = values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    let largest = values.reduce(Float(0)) { Swift.max($0, abs($1)) }
    let samples = zip(indices.numbers(Int32.self), f8.numbers(Double.self)).map {
      abs(Double(values[Int($0)]) - $1) / max
    }
    let errors = [abs(norm / self.norm - 1), abs(Double(largest) / max - 1)] + samples
    return errors.contains { $0.isNaN } ? .nan : errors.max()!
  }

  func error(of values: [Float]) -> Double { values.withUnsafeBufferPointer { error(of: $0) } }
}

/// The engines.
enum EngineKind: CaseIterable, Sendable {
  case vector, vectorWithAVX2, vectorInBF16, openBLAS

  /// Those that compute in single precision on this machine: what agrees with PyTorch.
  static let exact = [vector, vectorWithAVX2, openBLAS].filter { $0 != .vectorWithAVX2 || Instructions.best > .avx2 }

  /// Gives `body` an engine whose threads end with it.
  func with<Result>(threads: Int, _ body: (any ConvolutionEngine) throws -> Result) throws -> Result {
    let team = ThreadTeam(count: threads)
    defer { team.finish() }
    return switch self {
    case .vector: try body(VectorEngine(team: team))
    case .vectorWithAVX2: try body(VectorEngine(team: team, instructions: .avx2))
    case .vectorInBF16: try body(VectorEngine(team: team, precision: .bf16))
    case .openBLAS: try body(MatrixProductEngine(team: team))
    }
  }
}

/// What a test of a network needs: its description, its weights and its images.
struct NetworkExample: Sendable {
  let architecture: Architecture
  let seed: UInt64
  let batch: Int
  let teacher: TeacherWeights
  let student: TensorTable

  init(_ model: ModelConfiguration, seed: UInt64, batch: Int) throws {
    architecture = Architecture(model)
    self.seed = seed
    self.batch = batch
    teacher = try TeacherWeights(
      TensorTable(fixtureTensors(architecture.teacherUnits, of: model.backbone, seed: seed), source: "teacher"),
      for: architecture)
    student = try TensorTable(
      fixtureTensors(architecture.studentUnits, of: model.backbone, seed: seed), source: "student")
  }

  /// The teacher's features of some images of a batch.
  func features(_ name: String, images: Range<Int>? = nil, engine: any ConvolutionEngine) throws -> FeatureBuffer {
    let images = images ?? 0..<batch
    let size = architecture.model.imageSize
    let buffer = FeatureBuffer(architecture, images: max(images.count, 1))
    let teacher = try Teacher(architecture, weights: teacher, engine: engine, capacity: max(images.count, 1))
    try fixtureImages(name, batch: batch, size: size, seed: seed).withUnsafeBufferPointer {
      try teacher.forward($0.baseAddress! + images.lowerBound * 3 * size * size, images: images.count, into: buffer)
    }
    return buffer
  }

  /// A student with the weights set.
  func student(
    engine: any ConvolutionEngine, shards: Int, over communicator: any Communicator, capacity: Int? = nil
  ) throws -> (Student, ShardTree) {
    let tree = try ShardTree(shards: shards, ranks: communicator.size)
    let step = TrainingStep(engine: engine, tree: tree, communicator: communicator, capacity: capacity ?? batch)
    let student = Student(architecture, step: step)
    try student.read(self.student)
    return (student, tree)
  }
}

/// The counts of `images` in `shards` shards, as nearly equal as can be, the first ones larger.
func counts(_ images: Int, shards: Int) -> [Int] {
  (0..<shards).map { images / shards + ($0 < images % shards ? 1 : 0) }
}
