import Diagnostics
import Network
import Numerics
import TensorFiles

extension UnitDescription {
  /// The names of the tensors in PyTorch's state dict and their shapes there.
  public var tensors: [(name: String, shape: [Int])] {
    [("\(convolution).weight", shape.torchWeightShape)]
      + ["weight", "bias", "running_mean", "running_var"].map { ("\(normalization).\($0)", [shape.outputChannels]) }
  }
}

extension TensorSource {
  /// The tensors of one convolution and its normalisation.
  /// - Throws: `Failure(.badData)` that names a tensor that is missing or of another shape.
  func convolution(_ unit: UnitDescription) throws -> FrozenConvolution.Tensors {
    let values = try unit.tensors.map { try take($0.name, shape: $0.shape) }
    return FrozenConvolution.Tensors(
      weight: values[0], scale: values[1], shift: values[2], runningMean: values[3], runningVariance: values[4])
  }
}

/// A teacher's weights: exactly the tensors that its architecture needs.
public struct TeacherWeights: Sendable {
  /// The tensors, under their file's names.
  public let table: TensorTable
  /// SHA-256 over names, shapes and values.
  public let hash: String

  /// Takes what the teacher needs out of a file's tensors.
  ///
  /// What the files have besides is passed over: the classifier, counters, and stage 4 where it is not the bottleneck.
  /// - Throws: `Failure(.badData)` that names what is missing, of another shape, not finite, or belongs to another architecture.
  public init(_ table: TensorTable, for architecture: Architecture) throws {
    let needed = architecture.teacherUnits.flatMap(\.tensors)
    let tensors = try needed.map {
      NamedTensor(name: $0.name, shape: $0.shape, values: try table.take($0.name, shape: $0.shape))
    }
    let known = Set(needed.map(\.name))
    let surplus = table.names.filter { name in
      !known.contains(name) && !architecture.isUnused(name) && !name.hasSuffix(".num_batches_tracked")
    }
    guard surplus.isEmpty else {
      let some = surplus.prefix(3).joined(separator: ", ")
      throw Failure(
        .badData,
        "\(table.source): \(surplus.count) tensors have no place in \(architecture.model.backbone.rawValue): \(some)"
          + (surplus.count > 3 ? ", …" : ""), hint: "the file is of another architecture: choose --backbone accordingly"
      )
    }
    if let broken = tensors.first(where: { !$0.values.allSatisfy(\.isFinite) }) {
      throw Failure(.badData, "\(table.source): tensor \"\(broken.name)\" holds values that are not finite")
    }
    self.table = try TensorTable(tensors, source: table.source)
    hash = Self.hash(of: self.table)
  }

  /// The seed that `random:SEED` names in the place of a file; nil for anything else.
  public static func randomSeed(of source: String) -> UInt64? {
    let prefix = "random:"
    return source.hasPrefix(prefix) ? UInt64(source.dropFirst(prefix.count)) : nil
  }

  /// An untrained teacher, for benchmarks and tests.
  public init(randomWithSeed seed: UInt64, for architecture: Architecture) throws {
    let tensors = Initialization.tensors(of: architecture.teacherUnits, seed: seed)
    try self.init(TensorTable(tensors.map { try $0.loaded() }, source: "random:\(seed)"), for: architecture)
  }

  private static func hash(of table: TensorTable) -> String {
    var hash = SHA256()
    for tensor in table.tensors {
      hash.update("\(tensor.name) \(tensor.shape)\n")
      tensor.values.withUnsafeBytes { hash.update($0) }
    }
    return hash.hexDigest()
  }
}

extension ParameterArena {
  /// All tensors under their names, in PyTorch's order and shapes.
  /// - Parameter values: the memory of another arena that is laid out as this one; the arena's own without one.
  public func tensors(_ values: UnsafePointer<Float>? = nil) -> [LazyTensor] {
    entries.map { entry in
      LazyTensor(name: entry.name, shape: entry.torchShape) { [self] in
        entry.torchValues((values ?? UnsafePointer(self.values)) + entry.offset)
      }
    }
  }

  /// Reads all values from a table.
  /// - Parameter target: where they go; the arena's own values without one.
  /// - Throws: `Failure(.badData)` that names a tensor that is missing or of another shape, or what a tensor throws.
  public func read(_ table: some TensorSource, into target: UnsafeMutablePointer<Float>? = nil) throws {
    let target = target ?? values
    for entry in entries {
      try entry.take(from: table).withUnsafeBufferPointer { own in
        if let start = own.baseAddress { (target + entry.offset).update(from: start, count: entry.count) }
      }
    }
  }
}

extension ParameterArena.Entry {
  /// Values of this tensor in PyTorch's order.
  public func torchValues(_ values: UnsafePointer<Float>) -> [Float] {
    convolution?.torchWeights(from: values) ?? Array(UnsafeBufferPointer(start: values, count: count))
  }

  /// The values of the tensor of this name, in the order used here.
  /// - Throws: `Failure(.badData)` where it is missing or of another shape, or what it throws.
  public func take(from table: some TensorSource) throws -> [Float] {
    let values = try table.take(name, shape: torchShape)
    return convolution?.weights(fromTorch: values) ?? values
  }
}
