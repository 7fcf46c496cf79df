import Diagnostics
import Metrics

/// Which anomaly values the ends of the color map stand for: one scale for a whole set of images, so that a color means
/// the same in all of them and a normal image does not look anomalous.
public struct HeatMapScale: Sendable, Equatable {
  /// The value of the lowest color, and all below.
  public let low: Double
  /// The value of the highest color, and all above.
  public let high: Double

  /// - Throws: `Failure` of `.internalError` for ends that are not finite or in the wrong order. They may be equal.
  public init(low: Double, high: Double) throws {
    guard low.isFinite, high.isFinite, low <= high else {
      throw Failure(.internalError, "heat map: a scale cannot run from \(low) to \(high)")
    }
    self.low = low
    self.high = high
  }

  /// From the smallest to the largest value of a set of anomaly maps.
  /// - Throws: `Failure` of `.internalError` when a value is not finite or there is none.
  public init(spanning maps: some Sequence<[Float]>) throws {
    var (low, high) = (Float.infinity, -Float.infinity)
    for map in maps {
      try requireFinite(map)
      for value in map {
        low = min(low, value)
        high = max(high, value)
      }
    }
    try self.init(low: Double(low), high: Double(high))
  }

  /// From a value that is usual in normal images to the largest of the set: what is normal stays dark, and the colors
  /// are left for what stands out.
  /// - Parameters:
  ///   - normal: statistics of the normal images' pixels (or of samples of them).
  ///   - probability: the share of normal pixels that take the lowest color; of the probabilities of
  ///     `ScoreStatistics` the nearest is taken.
  ///   - highest: the largest value in the set; where normal pixels exceed it, theirs counts.
  /// - Throws: `Failure` of `.internalError` for a value that is not finite.
  public init(normal: ScoreStatistics, probability: Double = 0.5, highest: Double) throws {
    guard highest.isFinite else {
      throw Failure(.internalError, "heat map: the largest anomaly value is \(highest)")
    }
    let quantile = normal.quantiles.min { abs($0.probability - probability) < abs($1.probability - probability) }
    try self.init(low: quantile?.value ?? normal.minimum, high: max(highest, normal.maximum))
  }

  /// Where a finite value lies between the ends, from 0 to 1; beyond them it is 0 or 1.
  public func place(of value: Double) -> Double {
    if value <= low { return 0 }
    if value >= high { return 1 }
    return (value - low) / (high - low)
  }
}

/// Takes an anomaly map whose values are all finite, and no other.
func requireFinite(_ map: [Float]) throws {
  if let index = map.firstIndex(where: { !$0.isFinite }) {
    throw Failure(
      .internalError, "heat map: value \(index) of an anomaly map is \(map[index])",
      hint: "numbers that are not finite come from a diverged training or damaged weights")
  }
}
