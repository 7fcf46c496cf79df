import Distillation
import Numerics
import Training

/// What an evaluation is told.
public struct EvaluationOptions: Sendable {
  /// A run's folder, whose newest valid checkpoint is taken, or a checkpoint.
  public var checkpoint: String
  /// Folder of the data set; pictures lie in `data/category/test/KIND`, or in `data/test/KIND` without a category.
  public var data: String
  public var category: String?
  /// Where the results go.
  public var output: String
  /// The teacher's weights, where the checkpoint holds their hash only.
  public var teacher: String?
  public var scales: ScoredScales
  public var score: ImageScore
  public var engine: TrainingConfiguration.Engine
  public var precision: Precision
  public var threads: Int?
  /// What the pixels' scores may take in a rank's memory while they are sorted, in bytes.
  package var pixelMemory = 256 << 20

  public init(
    checkpoint: String, data: String, category: String? = nil, output: String, teacher: String? = nil,
    scales: ScoredScales = .all, score: ImageScore = .maximum, engine: TrainingConfiguration.Engine = .vector,
    precision: Precision = .fp32, threads: Int? = nil
  ) {
    self.checkpoint = checkpoint
    self.data = data
    self.category = category
    self.output = output
    self.teacher = teacher
    self.scales = scales
    self.score = score
    self.engine = engine
    self.precision = precision
    self.threads = threads
  }
}
