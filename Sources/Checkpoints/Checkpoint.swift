import Diagnostics
import FileSystem
import Metrics
import TensorFiles

/// What a trained network's scores of the normal images are like.
public struct NormalStatistics: Sendable, Equatable {
  /// Of the images' scores.
  public let imageScore: ScoreStatistics
  /// Of the map values of scale 1, 2 and 3.
  public let scales: [ScoreStatistics]
  /// The score of each image, in the order of the manifest.
  public let imageScores: [Double]

  public init(imageScore: ScoreStatistics, scales: [ScoreStatistics], imageScores: [Double]) {
    self.imageScore = imageScore
    self.scales = scales
    self.imageScores = imageScores
  }
}

/// The whole state of a training run between two steps.
///
/// Nothing in it depends on when, where or on how many ranks the run was made. Tensors are ordered by the bytes of
/// their names, in whatever order they are given.
public struct Checkpoint: Sendable, Equatable {
  /// The version of the files written; later ones are rejected in reading.
  public static let formatVersion = 1

  /// The keys that decide what is computed, as TOML.
  public let configuration: String
  /// The program that wrote this, and its version.
  public let producer: String
  /// How many steps are completed.
  public let step: Int
  /// The epoch of the next step.
  public let epoch: Int
  public let dataFingerprint: String
  /// The index of the image at each position of the initial permutation.
  public let shardOrder: [Int32]
  /// Parameters and running statistics under PyTorch's names and in its shapes.
  public let parameters: [NamedTensor]
  /// Adam's first moments, by the names of the trainable parameters.
  public let firstMoments: [NamedTensor]
  /// Adam's second moments, by the same names.
  public let secondMoments: [NamedTensor]
  /// The SHA-256 of the teacher's weights.
  public let teacherHash: String
  /// The teacher under torchvision's names; nil where only the hash is kept.
  public let teacher: [NamedTensor]?
  /// The loss of each step.
  public let lossHistory: [Double]
  /// Nil before the normal images were scored.
  public let normalStatistics: NormalStatistics?

  public init(
    configuration: String, producer: String, step: Int, epoch: Int, dataFingerprint: String, shardOrder: [Int32],
    parameters: [NamedTensor], firstMoments: [NamedTensor], secondMoments: [NamedTensor], teacherHash: String,
    teacher: [NamedTensor]?, lossHistory: [Double], normalStatistics: NormalStatistics?
  ) {
    func ordered(_ tensors: [NamedTensor]) -> [NamedTensor] {
      tensors.sorted { precedesInBytes($0.name, $1.name) }
    }
    self.configuration = configuration
    self.producer = producer
    self.step = step
    self.epoch = epoch
    self.dataFingerprint = dataFingerprint
    self.shardOrder = shardOrder
    self.parameters = ordered(parameters)
    self.firstMoments = ordered(firstMoments)
    self.secondMoments = ordered(secondMoments)
    self.teacherHash = teacherHash
    self.teacher = teacher.flatMap { $0.isEmpty ? nil : ordered($0) }
    self.lossHistory = lossHistory
    self.normalStatistics = normalStatistics
  }

  /// What does not fit together in this state, nil where all does.
  var inconsistency: String? {
    for (what, number) in [("step", step), ("epoch", epoch)] where number < 0 {
      return "the \(what) is \(number)"
    }
    guard firstMoments.map(\.name) == secondMoments.map(\.name) else {
      return "the first and second moments are not of the same parameters"
    }
    let shapes = Dictionary(parameters.map { ($0.name, $0.shape) }) { first, _ in first }
    for moment in firstMoments + secondMoments {
      guard let shape = shapes[moment.name] else {
        return "there are moments of \(quoted(moment.name)) but there is no such parameter"
      }
      guard shape == moment.shape else {
        return "parameter \(quoted(moment.name)) has shape \(shape) and a moment of shape \(moment.shape)"
      }
    }
    return nil
  }
}
