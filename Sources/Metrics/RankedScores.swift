import Diagnostics

/// Scores with their labels, sorted once: what a detector achieves at every threshold (predicted = score >= threshold).
///
/// Every distinct score is a threshold, so equal scores are called together, as scikit-learn does. All measures are nil
/// where they mean nothing: when only one of the two classes is present.
public struct RankedScores: Sendable {
  /// What is predicted at a threshold.
  private struct Step {
    let threshold: Double
    var truePositives: Int
    var falsePositives: Int
  }

  /// By falling threshold; the counts never fall.
  private let steps: [Step]
  /// The step from which on each sample is called, positive samples and negative ones for themselves, in the order they were given in.
  let stepsOfSamples: (positive: [Int], negative: [Int])
  public let positives: Int
  public let negatives: Int

  /// - Parameters:
  ///   - scores: One score a sample, the higher the more anomalous.
  ///   - labels: True for anomalous samples.
  /// - Throws: `Failure` when a score is not finite or when there are not as many labels as scores.
  public init(scores: [Double], labels: [Bool]) throws {
    guard scores.count == labels.count else {
      throw Failure(.badData, "metrics: \(scores.count) scores have \(labels.count) labels")
    }
    try requireFinite(scores, "scores")
    var steps: [Step] = []
    var (truePositives, falsePositives) = (0, 0)
    var stepOfSample = [Int](repeating: 0, count: scores.count)
    for sample in scores.indices.sorted(by: { scores[$0] > scores[$1] }) {
      if labels[sample] { truePositives += 1 } else { falsePositives += 1 }
      if steps.last?.threshold == scores[sample] { steps.removeLast() }
      stepOfSample[sample] = steps.count
      steps.append(Step(threshold: scores[sample], truePositives: truePositives, falsePositives: falsePositives))
    }
    self.steps = steps
    let samples = zip(stepOfSample, labels)
    stepsOfSamples = (samples.filter(\.1).map(\.0), samples.filter { !$0.1 }.map(\.0))
    positives = truePositives
    negatives = falsePositives
  }

  /// The ranking of other samples with the scores of these, given by the steps of these scores.
  func resampled(positive: some Sequence<Int>, negative: some Sequence<Int>) -> RankedScores {
    var steps = steps.map { Step(threshold: $0.threshold, truePositives: 0, falsePositives: 0) }
    for step in positive { steps[step].truePositives += 1 }
    for step in negative { steps[step].falsePositives += 1 }
    for step in steps.indices.dropFirst() {
      steps[step].truePositives += steps[step - 1].truePositives
      steps[step].falsePositives += steps[step - 1].falsePositives
    }
    return RankedScores(steps: steps)
  }

  private init(steps: [Step]) {
    self.steps = steps
    stepsOfSamples = ([], [])
    positives = steps.last?.truePositives ?? 0
    negatives = steps.last?.falsePositives ?? 0
  }

  private var hasBothClasses: Bool { positives > 0 && negatives > 0 }

  /// The area under the ROC curve: the probability that a positive scores higher than a negative, ties counting half.
  /// The area is an exact integer until its one division.
  public var auroc: Double? {
    guard hasBothClasses else { return nil }
    var twiceArea = 0
    var (truePositives, falsePositives) = (0, 0)
    for step in steps {
      twiceArea += (step.falsePositives - falsePositives) * (step.truePositives + truePositives)
      (truePositives, falsePositives) = (step.truePositives, step.falsePositives)
    }
    return Double(twiceArea) / (2 * Double(positives) * Double(negatives))
  }

  /// The sum of precision times the recall gained, over the thresholds; no interpolation.
  public var averagePrecision: Double? {
    guard hasBothClasses else { return nil }
    var sum = 0.0
    var truePositives = 0
    for step in steps where step.truePositives > truePositives {
      let precision = Double(step.truePositives) / Double(step.truePositives + step.falsePositives)
      sum += Double(step.truePositives - truePositives) * precision
      truePositives = step.truePositives
    }
    return sum / Double(positives)
  }

  /// The best F1 score (harmonic mean of precision and recall) over all thresholds, and the threshold that gives it,
  /// the lowest where several do.
  public var f1Max: (value: Double, threshold: Double)? {
    guard hasBothClasses else { return nil }
    var best = (value: -1.0, threshold: 0.0)
    for step in steps {
      let value = 2 * Double(step.truePositives) / Double(positives + step.truePositives + step.falsePositives)
      if value >= best.value { best = (value, step.threshold) }
    }
    return best
  }

  /// The ROC curve for plotting, from (0, 0) to (1, 1), thinned to what a plot can show.
  public var roc: [CurvePoint]? {
    guard hasBothClasses else { return nil }
    var curve = ThinnedCurve(from: ThinnedCurve.nothing)
    for step in steps {
      curve.add(
        x: Double(step.falsePositives) / Double(negatives), y: Double(step.truePositives) / Double(positives))
    }
    return curve.finished()
  }

  /// (Recall, precision) for plotting, from (0, 1) to full recall, thinned to what a plot can show.
  public var precisionRecall: [CurvePoint]? {
    guard hasBothClasses else { return nil }
    var curve = ThinnedCurve(from: ThinnedCurve.noRecall)
    var truePositives = 0
    for step in steps where step.truePositives > truePositives {
      truePositives = step.truePositives
      curve.add(
        x: Double(truePositives) / Double(positives),
        y: Double(truePositives) / Double(truePositives + step.falsePositives))
    }
    return curve.finished()
  }
}
