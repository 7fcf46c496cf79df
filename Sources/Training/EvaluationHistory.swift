import Diagnostics

/// What an evaluation on the way found, as a line of `log.jsonl` says it.
public struct EvaluationEvent: Codable, Equatable {
  /// Steps done.
  public let step: Int
  /// The epoch of the last of them, counted from 1.
  public let epoch: Int
  /// The mean loss of the held-out normal images; nil where there are none.
  public let validationLoss: Double?
  // Of the test images; nil where there are none.
  public let imageAUROC: Double?
  public let pixelAUROC: Double?
  public let aupro: Double?
  public let evaluationSeconds: Double

  private enum CodingKeys: String, CodingKey {
    case step, epoch, aupro
    case validationLoss = "validation_loss"
    case imageAUROC = "image_auroc"
    case pixelAUROC = "pixel_auroc"
    case evaluationSeconds = "evaluation_seconds"
  }
}

extension TrainingConfiguration.Criterion {
  /// The higher the better; nil where there is no such measure.
  func value(of event: EvaluationEvent) -> Double? {
    switch self {
    case .validationLoss: event.validationLoss.map(-)
    case .imageAUROC: event.imageAUROC
    case .pixelAUROC: event.pixelAUROC
    case .aupro: event.aupro
    }
  }
}

/// The evaluations of a run, and which of them is the best.
struct EvaluationHistory {
  private let criterion: TrainingConfiguration.Criterion
  /// Evaluations without a better one after which training ends.
  private let patience: Int?
  /// Of the last evaluation.
  private(set) var lastStep = 0
  private(set) var best: EvaluationEvent?
  private var evaluationsSinceBest = 0

  init(_ configuration: TrainingConfiguration, _ events: [EvaluationEvent]) {
    criterion = configuration.bestBy
    patience = configuration.earlyStop
    for event in events { add(event) }
  }

  mutating func add(_ event: EvaluationEvent) {
    lastStep = event.step
    let known = best.flatMap(criterion.value(of:)) ?? -.infinity
    if let value = criterion.value(of: event), value > known {
      best = event
      evaluationsSinceBest = 0
    } else {
      evaluationsSinceBest += 1
    }
  }

  /// Whether training shall end.
  var isStale: Bool { patience.map { evaluationsSinceBest >= $0 } ?? false }
}
