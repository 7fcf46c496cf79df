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

extension TrainingConfiguration {
  /// The keys of an evaluation on the way need each other.
  /// - Throws: `Failure(.configuration)`.
  func requireEvaluable() throws {
    func require(_ isRight: Bool, _ message: String, hint: String) throws {
      if !isRight { throw Failure(.configuration, message, hint: hint) }
    }
    let needsHeldOut = "hold normal images out with --validation-fraction 0.1"
    guard evaluateEvery != nil else {
      let given = [(Key.evaluationData, evaluationData != nil), (.earlyStop, earlyStop != nil)].filter(\.1)
      return try require(
        given.isEmpty, "\(given.first?.0.rawValue ?? "") is given, and evaluate_every is not",
        hint: "say how often, for example --evaluate-every '1 epochs'")
    }
    try require(
      testSet != nil || validationFraction > 0, "evaluate_every is given, and nothing to evaluate",
      hint: "name a data set with test images with --evaluation-data, or \(needsHeldOut)")
    try require(
      testSet != nil || bestBy == .validationLoss,
      "best_by is \(bestBy.rawValue), and evaluation_data is not given",
      hint: "name a data set with test images with --evaluation-data")
    try require(
      earlyStop == nil || validationFraction > 0 || bestBy != .validationLoss,
      "early_stop is given, and no normal images are held out to see when to stop", hint: needsHeldOut)
  }
}
