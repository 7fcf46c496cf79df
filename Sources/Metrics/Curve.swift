/// A point of a curve that is drawn: ROC (false-positive rate, true-positive rate) or PRO (false-positive rate, mean
/// overlap with the regions).
public struct CurvePoint: Codable, Sendable, Equatable, BitwiseCopyable {
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
  /// Where a curve has come to: all that its next point needs.
  struct Tip: BitwiseCopyable {
    fileprivate(set) var kept = CurvePoint(x: 0, y: 0)
    fileprivate(set) var last = CurvePoint(x: 0, y: 0)
  }

  private static let resolution = 1.0 / 512
  /// The points kept, but for (0, 0). Another curve that goes on from this one's tip has the next.
  var points: [CurvePoint] = []
  var tip = Tip()

  mutating func add(x: Double, y: Double) {
    tip.last = CurvePoint(x: x, y: y)
    guard max(x - tip.kept.x, y - tip.kept.y) >= Self.resolution else { return }
    tip.kept = tip.last
    points.append(tip.last)
  }

  /// The curve, its end included.
  func finished() -> [CurvePoint] {
    [CurvePoint(x: 0, y: 0)] + points + (tip.kept == tip.last ? [] : [tip.last])
  }
}
