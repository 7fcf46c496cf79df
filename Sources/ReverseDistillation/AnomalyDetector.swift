import Collectives
import Diagnostics
import Distillation
import Evaluation
import Imagery
import Jobs
import Metrics
import Scoring

/// A trained checkpoint that judges pictures, one after the other. Not to be used from several threads at a time.
public final class AnomalyDetector {
  /// What is found in a picture.
  public struct Judgement: Sendable {
    /// The largest value of the anomaly map.
    public let score: Double
    /// The probability that a normal picture scores as high; nil where the checkpoint knows no scores of normal images.
    public let pValue: Double?
    /// Whether the score reaches the threshold.
    public let isAnomalous: Bool
    /// How anomalous every place is, row by row: `side` x `side` values over the whole picture.
    public let map: [Float]
    /// Height and width of the map.
    public let side: Int
  }

  /// The score from which on a picture is anomalous.
  public var threshold: Double { decision.value }

  private let trained: TrainedDetector
  private let normals: KnownNormals
  private let decision: DecisionThreshold
  private let features: FeatureBuffer

  /// Loads a checkpoint.
  /// - Parameters:
  ///   - checkpoint: a checkpoint, or the folder that rd-train wrote to, whose newest valid one is taken.
  ///   - falseAlarmRate: the share of normal pictures that may be called anomalous: by it the threshold is found among the scores of the
  ///     normal images in the checkpoint.
  ///   - threshold: a threshold of one's own, in the place of that.
  ///   - teacher: the teacher's file, where the checkpoint holds only its hash.
  ///   - threads: nil for all cores that the process may use.
  /// - Throws: `Failure` that says what is wrong with the checkpoint, or that there is nothing to find a threshold from.
  public init(
    checkpoint: String, falseAlarmRate: Double = 0.01, threshold: Double? = nil, teacher: String? = nil,
    threads: Int? = nil
  ) throws {
    let options = DetectorOptions(checkpoint: checkpoint, teacher: teacher, threads: threads)
    trained = try TrainedDetector(options, over: LocalCommunicator(), console: Console(rank: 0, .quiet))
    normals = try KnownNormals(trained, options)
    decision = try normals.requireThreshold(threshold.map(ThresholdChoice.given) ?? .falseAlarmRate(falseAlarmRate))
    features = FeatureBuffer(
      trained.detector.architecture,
      images: min(trained.extractor.grid.count, FeatureExtractor.inputsAtATime(on: trained.extractor.team)))
  }

  /// Judges a picture in a file.
  /// - Throws: `Failure` that says why the picture cannot be read.
  public func judge(_ path: String) throws -> Judgement {
    try judge(ImageFile.decode(path), called: path)
  }

  /// Judges a picture in memory.
  /// - Parameters:
  ///   - pixels: red, green and blue of every pixel, row by row: height x width x 3.
  ///   - width: at least 1.
  ///   - height: at least 1.
  /// - Throws: `Failure(.badData)` where the picture has not so many pixels.
  public func judge(rgb pixels: [UInt8], width: Int, height: Int) throws -> Judgement {
    guard width > 0, height > 0, pixels.count == width * height * 3 else {
      throw Failure(.badData, "a picture of \(width) x \(height) pixels in color has not \(pixels.count) bytes")
    }
    return try judge(Raster(width: width, height: height, channels: 3, pixels: pixels), called: "the picture")
  }

  private func judge(_ picture: Raster, called name: String) throws -> Judgement {
    try trained.extractor.take([picture], from: [name])
    let detection = try trained.detector.detect(images: 1, through: features) {
      try trained.extractor.extract($0, into: features)
    }[0]
    try detection.requireFiniteScore(of: name)
    return Judgement(
      score: detection.score, pValue: normals.scores?.pValue(of: detection.score),
      isAnomalous: decision.isReached(by: detection.score), map: detection.map, side: trained.side)
  }
}
