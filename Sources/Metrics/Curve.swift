/// A point of a curve that is drawn: ROC (false-positive rate, true-positive rate) or PRO (false-positive rate, mean
/// overlap with the regions).
public struct CurvePoint: Codable, Sendable, Equatable {
  public let x: Double
  public let y: Double

  public init(x: Double, y: Double) {
    self.x = x
    self.y = y
  }
}

/// A monotone curve from (0, 0) to (1, 1), thinned to what a plot can show: a point is kept once it lies `resolution`
/// from the last one kept. No point of the full curve is farther than that from the kept one.
struct ThinnedCurve {
  private static let resolution = 1.0 / 512
  private(set) var points = [CurvePoint(x: 0, y: 0)]
  private var last = CurvePoint(x: 0, y: 0)

  mutating func add(x: Double, y: Double) {
    last = CurvePoint(x: x, y: y)
    let kept = points[points.count - 1]
    if max(x - kept.x, y - kept.y) >= Self.resolution { points.append(last) }
  }

  /// The curve, its end included.
  func finished() -> [CurvePoint] {
    points.last == last ? points : points + [last]
  }
}
