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
  /// Writes the state as an HDF5 file into an empty one, tensor by tensor. Equal states give equal bytes.
  ///
  /// - Throws: ``Failure`` with code `internalError` where the state contradicts itself: names that occur twice or
  ///   cannot be keys, shapes that do not fit, moments of no parameter; `inputOutput` where the file cannot be written;
  ///   or what a tensor throws.
  public func write(to file: borrowing OpenFile) throws {
    if let inconsistency = inconsistency(record, { self[$0] }) {
      throw Failure(.internalError, "checkpoint of step \(record.step): \(inconsistency)")
    }
    try HDF5File.write(file) { root in
      try root.write(attribute: "format", formatName)
      try root.write(attribute: "format_version", Self.formatVersion)
      try root.write(attribute: "producer", record.producer)
      try root.write(Place.configuration, [record.configuration])
      try root.makeGroup(Place.progress) { progress in
        try progress.write(attribute: "step", record.step)
        try progress.write(attribute: "epoch", record.epoch)
        try progress.write(attribute: "data_fingerprint", record.dataFingerprint)
        try progress.write("shard_order", record.shardOrder, shape: [record.shardOrder.count])
        try progress.write("loss_history", record.lossHistory, shape: [record.lossHistory.count])
      }
      try root.makeGroup(Place.model) { try $0.write(self[.parameters]) }
      try root.makeGroup(Place.optimizer) { optimizer in
        try optimizer.makeGroup(Place.firstMoment) { try $0.write(self[.firstMoments]) }
        try optimizer.makeGroup(Place.secondMoment) { try $0.write(self[.secondMoments]) }
      }
      try root.makeGroup(Place.teacher) { group in
        try group.write(attribute: "sha256", record.teacherHash)
        try group.write(self[.teacher])
      }
      if let statistics = record.normalStatistics {
        try root.makeGroup(Place.normalStatistics) { try $0.write(statistics) }
      }
    }
  }
}

extension HDF5Group {
  /// Makes sure that this is the root of a checkpoint that this program can read.
  func requireCheckpoint() throws {
    guard let format = try? text(attribute: "format"), format == formatName else {
      throw Failure(.badData, "\(source): an HDF5 file, but not a checkpoint of this program")
    }
    let version = try integer(attribute: "format_version")
    guard version == Checkpoint.formatVersion else {
      throw Failure(
        .badData,
        "\(source): a checkpoint of format version \(version); this program reads \(Checkpoint.formatVersion)",
        hint: "use the version of the program that wrote it")
    }
  }

  /// Everything but the tensors of the checkpoint whose root this is.
  func record() throws -> CheckpointRecord {
    let texts = try texts(Place.configuration)
    guard let configuration = texts.first, texts.count == 1 else {
      throw failure(Place.configuration, "is not one text")
    }
    return try readGroup(Place.progress) { progress in
      CheckpointRecord(
        configuration: configuration, producer: try text(attribute: "producer"),
        step: try progress.integer(attribute: "step"), epoch: try progress.integer(attribute: "epoch"),
        dataFingerprint: try progress.text(attribute: "data_fingerprint"),
        shardOrder: try progress.list("shard_order", as: Int32.self),
        teacherHash: try readGroup(Place.teacher) { try $0.text(attribute: "sha256") },
        lossHistory: try progress.list("loss_history", as: Double.self),
        normalStatistics: try has(Place.normalStatistics)
          ? try readGroup(Place.normalStatistics) { try $0.normalStatistics() } : nil)
    }
  }

  /// The group of a part's tensors in the checkpoint whose root this is.
  func read<Result>(_ part: CheckpointPart, body: (HDF5Group) throws -> Result) throws -> Result {
    switch part {
    case .parameters: try readGroup(Place.model, body: body)
    case .firstMoments: try readGroup(Place.optimizer) { try $0.readGroup(Place.firstMoment, body: body) }
    case .secondMoments: try readGroup(Place.optimizer) { try $0.readGroup(Place.secondMoment, body: body) }
    case .teacher: try readGroup(Place.teacher, body: body)
    }
  }
}

extension HDF5Group {
  /// One dataset a tensor, its name as the key.
  func write(_ tensors: [LazyTensor]) throws {
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
      try write(tensor.name, tensor.values(), shape: tensor.shape)
    }
  }

  fileprivate func write(_ statistics: NormalStatistics) throws {
    try write(attribute: "scale_count", statistics.scales.count)
    try makeGroup("image_score") { try $0.write(statistics.imageScore) }
    for (index, scale) in statistics.scales.enumerated() {
      try makeGroup("scale_\(index + 1)") { try $0.write(scale) }
    }
    try write("image_scores", statistics.imageScores, shape: [statistics.imageScores.count])
    // Older checkpoints have neither.
    if let map = statistics.map {
      try makeGroup("map") { try $0.write(map) }
      try write("held_out", [Int32(statistics.areHeldOut ? 1 : 0)], shape: [1])
    }
  }

  fileprivate func normalStatistics() throws -> NormalStatistics {
    let scales = try integer(attribute: "scale_count")
    guard scales >= 0 else { throw failure(nil, "has \(scales) scales") }
    return NormalStatistics(
      imageScore: try readGroup("image_score") { try $0.scoreStatistics() },
      scales: try (0..<scales).map { index in try readGroup("scale_\(index + 1)") { try $0.scoreStatistics() } },
      map: try has("map") ? try readGroup("map") { try $0.scoreStatistics() } : nil,
      imageScores: try list("image_scores", as: Double.self),
      areHeldOut: try has("held_out") && list("held_out", as: Int32.self) == [1])
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
