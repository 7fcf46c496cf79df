/// A point of a curve that is drawn: ROC (false-positive rate, true-positive rate), PRO (false-positive rate, mean
/// overlap with the regions) or precision-recall (recall, precision).
public struct CurvePoint: Codable, Sendable, Equatable, BitwiseCopyable {
  public let x: Double
  public let y: Double

  public init(x: Double, y: Double) {
    self.x = x
    self.y = y
  }
}

/// A curve in the unit square, thinned to what a plot can show: a point is kept once it lies `resolution` from the last one
/// kept. No point of the full curve is farther than that from the kept one.
struct ThinnedCurve {
  /// Where a curve has come to: all that its next point needs.
  struct Tip: BitwiseCopyable {
    fileprivate(set) var kept: CurvePoint
    fileprivate(set) var last: CurvePoint
  }

  /// Where ROC and PRO curves start: nothing is called, so nothing is found.
  static let nothing = CurvePoint(x: 0, y: 0)
  /// Where precision-recall curves start, as in scikit-learn.
  static let noRecall = CurvePoint(x: 0, y: 1)

  private static let resolution = 1.0 / 512
  private let start: CurvePoint
  /// The points kept, but for the start. Another curve that goes on from this one's tip has the next.
  var points: [CurvePoint] = []
  var tip: Tip

  init(from start: CurvePoint) {
    self.start = start
    tip = Tip(kept: start, last: start)
  }

  mutating func add(x: Double, y: Double) {
    tip.last = CurvePoint(x: x, y: y)
    guard max(abs(x - tip.kept.x), abs(y - tip.kept.y)) >= Self.resolution else { return }
    tip.kept = tip.last
    points.append(tip.last)
  }

  /// The curve, its end included.
  func finished() -> [CurvePoint] {
    [start] + points + (tip.kept == tip.last ? [] : [tip.last])
  }
}
