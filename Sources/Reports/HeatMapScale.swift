import Diagnostics

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
    throw Failure.notFinite("heat map: value \(index) of an anomaly map is \(map[index])")
  }
}
