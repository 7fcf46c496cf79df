import Diagnostics
import FileSystem
import Metrics
import TensorFiles

/// What a trained network's scores of the normal images are like.
public struct NormalStatistics: Sendable, Equatable {
  /// Of the images' scores.
  public var imageScore: ScoreStatistics
  /// Of the map values of scale 1, 2 and 3.
  public var scales: [ScoreStatistics]
  /// Of the anomaly maps, at every fourth pixel of every fourth row, or fewer where images come in tiles; nil in older checkpoints.
  public var map: ScoreStatistics?
  /// The score of each image, in the order of the manifest.
  public var imageScores: [Double]
  /// Whether the images were kept from training. Those that were trained on score lower than other normal ones.
  public var areHeldOut: Bool

  public init(
    imageScore: ScoreStatistics, scales: [ScoreStatistics], map: ScoreStatistics?, imageScores: [Double],
    areHeldOut: Bool
  ) {
    self.imageScore = imageScore
    self.scales = scales
    self.map = map
    self.imageScores = imageScores
    self.areHeldOut = areHeldOut
  }
}

/// What a checkpoint holds besides tensors.
public struct CheckpointRecord: Sendable, Equatable {
  /// The keys that decide what is computed, as TOML.
  public var configuration: String
  /// The program that wrote this, and its version.
  public var producer: String
  /// How many steps are completed.
  public var step: Int
  /// The epoch of the next step.
  public var epoch: Int
  public var dataFingerprint: String
  /// The index of the image, or tile of one, at each position of the initial permutation.
  public var shardOrder: [Int32]
  /// The SHA-256 of the teacher's weights.
  public var teacherHash: String
  /// The loss of each step.
  public var lossHistory: [Double]
  /// Nil before the normal images were scored.
  public var normalStatistics: NormalStatistics?

  public init(
    configuration: String, producer: String, step: Int, epoch: Int, dataFingerprint: String, shardOrder: [Int32],
    teacherHash: String, lossHistory: [Double], normalStatistics: NormalStatistics?
  ) {
    self.configuration = configuration
    self.producer = producer
    self.step = step
    self.epoch = epoch
    self.dataFingerprint = dataFingerprint
    self.shardOrder = shardOrder
    self.teacherHash = teacherHash
    self.lossHistory = lossHistory
    self.normalStatistics = normalStatistics
  }
}

/// The tensors of a checkpoint by what they are.
public enum CheckpointPart: CaseIterable, Sendable {
  /// Parameters and running statistics under PyTorch's names and in its shapes.
  case parameters
  /// Adam's first moments, by the names of the trainable parameters.
  case firstMoments
  /// Adam's second moments, by the same names.
  case secondMoments
  /// The teacher under torchvision's names; none where only the hash is kept.
  case teacher
}

/// The whole state of a training run between two steps, to be written.
///
/// Nothing in it depends on when, where or on how many ranks the run was made. Tensors are ordered by the bytes of
/// their names, in whatever order they are given.
public struct Checkpoint {
  /// The version of the files written; later ones are rejected in reading.
  public static let formatVersion = 1

  public let record: CheckpointRecord
  private let tensors: [CheckpointPart: [LazyTensor]]

  public init(_ record: CheckpointRecord, tensors: [CheckpointPart: [LazyTensor]]) {
    self.record = record
    self.tensors = tensors.mapValues { $0.sorted { precedesInBytes($0.name, $1.name) } }
  }

  /// The tensors of a part. Their values are asked for once each, in this order, part after part in the order of the cases.
  public subscript(part: CheckpointPart) -> [LazyTensor] { tensors[part] ?? [] }
}

/// What does not fit together in a state of these tensors, nil where all does.
func inconsistency(_ record: CheckpointRecord, _ tensors: (CheckpointPart) -> [LazyTensor]) -> String? {
  for (what, number) in [("step", record.step), ("epoch", record.epoch)] where number < 0 {
    return "the \(what) is \(number)"
  }
  let (first, second) = (tensors(.firstMoments), tensors(.secondMoments))
  guard first.map(\.name) == second.map(\.name) else {
    return "the first and second moments are not of the same parameters"
  }
  let shapes = Dictionary(tensors(.parameters).map { ($0.name, $0.shape) }) { first, _ in first }
  for moment in first + second {
    guard let shape = shapes[moment.name] else {
      return "there are moments of \(quoted(moment.name)) but there is no such parameter"
    }
    guard shape == moment.shape else {
      return "parameter \(quoted(moment.name)) has shape \(shape) and a moment of shape \(moment.shape)"
    }
  }
  return nil
}
