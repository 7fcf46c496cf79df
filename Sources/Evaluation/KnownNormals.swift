import Checkpoints
import Diagnostics
import Distillation
import Foundation
import Jobs
import Metrics
import Reports

/// What a checkpoint knows of normal images, as far as it is about the scores that are asked for.
package struct KnownNormals {
  let statistics: NormalStatistics?
  package private(set) var scores: NormalScores?
  /// Why there are no scores; nil where there are.
  private(set) var absence: String?
  private(set) var warnings: [String] = []
  var areHeldOut: Bool { statistics?.areHeldOut ?? false }

  /// - Throws: `Failure` where the checkpoint's scores are not finite.
  package init(_ trained: TrainedDetector, _ options: DetectorOptions) throws {
    statistics = trained.record.normalStatistics
    guard let statistics else {
      absence =
        "\(trained.name) holds no scores of normal images, as one that is written on the way "
        + "(rd-train --statistics checkpoint takes them there too)"
      return
    }
    guard options.scales == .all, options.score == .maximum else {
      absence =
        "the normal images were scored with \(ScoredScales.all) and \(ImageScore.maximum.rawValue), "
        + "not with \(options.scales) and \(options.score.rawValue)"
      return
    }
    scores = try NormalScores(statistics.imageScores)
    if options.precision != trained.configuration.precision {
      warnings.append(
        "the normal images were scored in \(trained.configuration.precision.rawValue), these are in "
          + "\(options.precision.rawValue): --precision \(trained.configuration.precision.rawValue) makes them comparable"
      )
    }
  }

  /// - Parameter f1: the threshold of the best F1 on the test set.
  func threshold(_ choice: ThresholdChoice, f1: Double? = nil) -> DecisionThreshold? {
    DecisionThreshold(choice, normal: scores, areHeldOut: areHeldOut, f1: f1)
  }

  /// The threshold where no labels are known.
  /// - Throws: `Failure(.usage)` where there is nothing to find it from.
  package func requireThreshold(_ choice: ThresholdChoice) throws -> DecisionThreshold {
    guard let threshold = threshold(choice) else {
      throw Failure(.usage, "there is no threshold: \(absence ?? "")", hint: "give one as --threshold")
    }
    return threshold
  }

  /// The colors of heat maps, the same for all images that are judged by this checkpoint: 99 % of the pixels of normal images have none, and
  /// the highest of them lies near the middle.
  /// - Parameters:
  ///   - lowest: the beginning of the scale where nothing is known of normal images.
  ///   - highest: its end where the scores that are asked for are not known of normal images.
  func heatMapScale(_ scales: ScoredScales, lowest: Double, highest: Double) throws -> HeatMapScale {
    guard let statistics else { return try HeatMapScale(low: lowest, high: highest) }
    if let scores, let map = statistics.map {
      let top = scores.highest
      return try HeatMapScale(low: min(map.quantile(0.99) ?? map.median, top), high: 2 * top - min(map.median, top))
    }
    let usual = scales.scales.reduce(0.0) { $0 + statistics.scales[$1.rawValue - 1].median }
    return try HeatMapScale(low: usual, high: max(highest, usual))
  }

  /// How far regions go, where nothing else is said: what one in a thousand pixels of normal images reaches.
  func pixelThreshold(_ scales: ScoredScales) -> Double? {
    scales == .all ? statistics?.map?.quantile(0.999) : nil
  }
}

extension ScoreStatistics {
  var median: Double { quantile(0.5) ?? mean }

  func quantile(_ probability: Double) -> Double? { quantiles.first { $0.probability == probability }?.value }
}
