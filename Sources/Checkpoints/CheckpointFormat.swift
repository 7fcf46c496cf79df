import Diagnostics
import FileSystem
import Metrics
import TensorFiles

private let formatName = "reverse-distillation checkpoint"

/// Where things are in the file.
enum Place {
  static let configuration = "configuration"
  static let progress = "progress"
  static let model = "model"
  static let optimizer = "optimizer"
  static let firstMoment = "first_moment"
  static let secondMoment = "second_moment"
  static let teacher = "teacher"
  static let normalStatistics = "normal_statistics"
}

extension Checkpoint {
  /// The state as an HDF5 file. Equal states give equal bytes.
  ///
  /// - Throws: ``Failure`` with code `internalError` where the state contradicts itself: names that occur twice or
  ///   cannot be keys, shapes that do not fit, moments of no parameter.
  public func encoded() throws -> [UInt8] {
    let source = "checkpoint of step \(step)"
    if let inconsistency { throw Failure(.internalError, "\(source): \(inconsistency)") }
    return try HDF5File.bytes(source) { root in
      try root.write(attribute: "format", formatName)
      try root.write(attribute: "format_version", Self.formatVersion)
      try root.write(attribute: "producer", producer)
      try root.write(Place.configuration, [configuration])
      try root.makeGroup(Place.progress) { progress in
        try progress.write(attribute: "step", step)
        try progress.write(attribute: "epoch", epoch)
        try progress.write(attribute: "data_fingerprint", dataFingerprint)
        try progress.write("shard_order", shardOrder, shape: [shardOrder.count])
        try progress.write("loss_history", lossHistory, shape: [lossHistory.count])
      }
      try root.makeGroup(Place.model) { try $0.write(parameters) }
      try root.makeGroup(Place.optimizer) { optimizer in
        try optimizer.makeGroup(Place.firstMoment) { try $0.write(firstMoments) }
        try optimizer.makeGroup(Place.secondMoment) { try $0.write(secondMoments) }
      }
      try root.makeGroup(Place.teacher) { group in
        try group.write(attribute: "sha256", teacherHash)
        try group.write(teacher ?? [])
      }
      if let normalStatistics {
        try root.makeGroup(Place.normalStatistics) { try $0.write(normalStatistics) }
      }
    }
  }

  /// Reads a state from the bytes of its file, all of which are checked.
  ///
  /// - Parameters:
  ///   - bytes: the file.
  ///   - source: what error messages call it, usually its path.
  /// - Throws: ``Failure`` with code `badData` that says what is wrong with the file.
  public init(decoding bytes: [UInt8], source: String) throws {
    self = try HDF5File.read(bytes, source: source) { root in
      guard let format = try? root.text(attribute: "format"), format == formatName else {
        throw Failure(.badData, "\(source): an HDF5 file, but not a checkpoint of this program")
      }
      let version = try root.integer(attribute: "format_version")
      guard version == Self.formatVersion else {
        throw Failure(
          .badData, "\(source): a checkpoint of format version \(version); this program reads \(Self.formatVersion)",
          hint: "use the version of the program that wrote it")
      }
      return try Checkpoint(root: root)
    }
    if let inconsistency { throw Failure(.badData, "\(source): \(inconsistency)") }
  }

  /// Reads the checkpoint at `path`.
  /// - Throws: ``Failure`` with code `badData` where it is absent or wrong, `inputOutput` where it cannot be read.
  public init(contentsOf path: String) throws {
    try self.init(decoding: readFile(path), source: path)
  }

  private init(root: HDF5Group) throws {
    let texts = try root.texts(Place.configuration)
    guard let configuration = texts.first, texts.count == 1 else {
      throw root.failure(Place.configuration, "is not one text")
    }
    let progress = try root.readGroup(Place.progress) { progress in
      (
        step: try progress.integer(attribute: "step"), epoch: try progress.integer(attribute: "epoch"),
        dataFingerprint: try progress.text(attribute: "data_fingerprint"),
        shardOrder: try progress.list("shard_order", as: Int32.self),
        lossHistory: try progress.list("loss_history", as: Double.self)
      )
    }
    let moments = try root.readGroup(Place.optimizer) { optimizer in
      (
        first: try optimizer.readGroup(Place.firstMoment) { try $0.tensors() },
        second: try optimizer.readGroup(Place.secondMoment) { try $0.tensors() }
      )
    }
    let teacher = try root.readGroup(Place.teacher) { group in
      (hash: try group.text(attribute: "sha256"), tensors: try group.tensors())
    }
    self.init(
      configuration: configuration, producer: try root.text(attribute: "producer"), step: progress.step,
      epoch: progress.epoch, dataFingerprint: progress.dataFingerprint, shardOrder: progress.shardOrder,
      parameters: try root.readGroup(Place.model) { try $0.tensors() }, firstMoments: moments.first,
      secondMoments: moments.second, teacherHash: teacher.hash, teacher: teacher.tensors,
      lossHistory: progress.lossHistory,
      normalStatistics: try root.has(Place.normalStatistics)
        ? try root.readGroup(Place.normalStatistics) { try $0.normalStatistics() } : nil)
  }
}

extension HDF5Group {
  /// One dataset a tensor, its name as the key.
  func write(_ tensors: [NamedTensor]) throws {
    var names: Set<String> = []
    for tensor in tensors {
      // HDF5 takes a slash for groups and a single dot for the group itself.
      guard !tensor.name.isEmpty, tensor.name != ".", !tensor.name.utf8.contains(where: { $0 == 0x2F || $0 == 0 })
      else {
        throw failure(nil, "cannot hold a tensor named \(quoted(tensor.name))")
      }
      guard names.insert(tensor.name).inserted else {
        throw failure(nil, "cannot hold two tensors named \(quoted(tensor.name))")
      }
      try write(tensor.name, tensor.values, shape: tensor.shape)
    }
  }

  /// The group's datasets, all of which are float32.
  func tensors() throws -> [NamedTensor] {
    try names().map { name in
      let (shape, values) = try numbers(name, as: Float.self)
      return NamedTensor(name: name, shape: shape, values: values)
    }
  }

  fileprivate func write(_ statistics: NormalStatistics) throws {
    try write(attribute: "scale_count", statistics.scales.count)
    try makeGroup("image_score") { try $0.write(statistics.imageScore) }
    for (index, scale) in statistics.scales.enumerated() {
      try makeGroup("scale_\(index + 1)") { try $0.write(scale) }
    }
    try write("image_scores", statistics.imageScores, shape: [statistics.imageScores.count])
  }

  fileprivate func normalStatistics() throws -> NormalStatistics {
    let scales = try integer(attribute: "scale_count")
    guard scales >= 0 else { throw failure(nil, "has \(scales) scales") }
    return NormalStatistics(
      imageScore: try readGroup("image_score") { try $0.scoreStatistics() },
      scales: try (0..<scales).map { index in try readGroup("scale_\(index + 1)") { try $0.scoreStatistics() } },
      imageScores: try list("image_scores", as: Double.self))
  }

  private func write(_ statistics: ScoreStatistics) throws {
    try write(attribute: "count", statistics.count)
    try write(attribute: "mean", statistics.mean)
    try write(attribute: "standard_deviation", statistics.standardDeviation)
    try write(attribute: "minimum", statistics.minimum)
    try write(attribute: "maximum", statistics.maximum)
    try write(attribute: "quantile_probabilities", statistics.quantiles.map(\.probability))
    try write(attribute: "quantiles", statistics.quantiles.map(\.value))
  }

  private func scoreStatistics() throws -> ScoreStatistics {
    let probabilities = try numbers(attribute: "quantile_probabilities", as: Double.self)
    let values = try numbers(attribute: "quantiles", as: Double.self)
    guard probabilities.count == values.count else {
      throw failure(nil, "has \(values.count) quantiles of \(probabilities.count) probabilities")
    }
    return ScoreStatistics(
      count: try integer(attribute: "count"), mean: try double(attribute: "mean"),
      standardDeviation: try double(attribute: "standard_deviation"), minimum: try double(attribute: "minimum"),
      maximum: try double(attribute: "maximum"),
      quantiles: zip(probabilities, values).map { .init(probability: $0, value: $1) })
  }
}
