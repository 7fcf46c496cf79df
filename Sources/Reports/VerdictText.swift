import Foundation
import Metrics

extension DecisionThreshold {
  /// What it is and what it promises, for people.
  package var description: String {
    var text = "threshold \(shown(value)), "
    switch source {
    case .normalImages: text += "for false alarms in \(percent(wantedRate ?? 0)) of normal images"
    case .given: text += "as given"
    case .f1OfTestLabels: text += "the one of the best F1 on the labels of this TEST SET"
    }
    guard let falseAlarms else { return text }
    let interval = falseAlarms.interval
    return text
      + "; by \(falseAlarms.images) \(falseAlarms.areHeldOut ? "held-out" : "training") images it is "
      + "\(percent(falseAlarms.rate)) (95 % interval \(percent(interval.lowerBound)) to \(percent(interval.upperBound)))"
  }

  /// What makes it less than it seems.
  package var warnings: [String] {
    var warnings: [String] = []
    if source == .f1OfTestLabels {
      warnings.append(
        "the threshold was chosen with the test labels: verdicts, false alarms and detections on this set are too good")
    }
    if let falseAlarms, !falseAlarms.areHeldOut {
      warnings.append(
        "p-values and false-alarm rates come from the images that were trained on and are optimistic: other normal "
          + "images score higher (rd-train --validation-fraction 0.1 holds some out)")
    }
    if let falseAlarms, let wantedRate, wantedRate * Double(falseAlarms.images + 1) < 1 {
      warnings.append(
        "\(falseAlarms.images) normal images cannot show a false-alarm rate of \(percent(wantedRate)), which takes "
          + "\(Int((1 / wantedRate).rounded(.up)) - 1): the threshold is the highest of their scores")
    }
    return warnings
  }
}

extension VerdictSummary {
  /// The threshold, and what it did on the test set.
  package var description: String {
    let rates = [("false alarms", falseAlarms), ("defects found", detections)]
    return threshold.description + "\n"
      + rates.compactMap { what, rate in rate.map { "\(what): \($0.description)" } }.joined(separator: "; ")
  }
}

extension ObservedRate {
  package var description: String {
    "\(count) of \(of), \(percent(rate)) (\(percent(interval.lowerBound)) to \(percent(interval.upperBound)))"
  }
}

/// A share for people.
package func percent(_ share: Double) -> String { String(format: "%.3g %%", 100 * share) }

/// A score for people.
package func shown(_ score: Double) -> String { String(format: "%.4g", score) }
