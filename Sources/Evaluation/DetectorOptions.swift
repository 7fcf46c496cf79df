import Distillation
import Numerics

/// Which checkpoint scores images, and how.
public struct DetectorOptions: Sendable {
  /// A run's folder, whose newest valid checkpoint is taken, or a checkpoint.
  public var checkpoint: String
  /// The teacher's weights, where the checkpoint holds their hash only.
  public var teacher: String?
  public var scales: ScoredScales
  public var score: ImageScore
  public var engine: EngineKind
  public var precision: Precision
  public var threads: Int?

  public init(
    checkpoint: String, teacher: String? = nil, scales: ScoredScales = .all, score: ImageScore = .maximum,
    engine: EngineKind = .vector, precision: Precision = .fp32, threads: Int? = nil
  ) {
    self.checkpoint = checkpoint
    self.teacher = teacher
    self.scales = scales
    self.score = score
    self.engine = engine
    self.precision = precision
    self.threads = threads
  }
}
