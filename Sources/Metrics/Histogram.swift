import Diagnostics

/// How many values fall into each of several bins of equal width.
public struct Histogram: Sendable, Equatable {
  /// Borders of the bins, one more than there are bins. A bin holds its lower border; the last one both.
  public let edges: [Double]
  public let counts: [Int]

  /// - Parameters:
  ///   - values: The values; those outside the range are not counted.
  ///   - range: From the first bin's lower to the last bin's upper border; one of width 0 is widened by 0.5 to both
  ///     sides.
  /// - Throws: `Failure` when a value or the range is not finite and when there are no bins.
  public init(values: some Sequence<Double>, bins: Int, range: ClosedRange<Double>) throws {
    let values = Array(values)
    try requireFinite(values, "scores")
    try requireFinite([range.lowerBound, range.upperBound], "a histogram's range")
    guard bins > 0 else {
      throw Failure(.configuration, "metrics: a histogram has \(bins) bins")
    }
    let margin = range.lowerBound < range.upperBound ? 0 : 0.5
    let (low, high) = (range.lowerBound - margin, range.upperBound + margin)
    // At the ends of the number line the width may round to zero or overflow.
    guard high - low > 0, (high - low).isFinite else {
      throw Failure(.badData, "metrics: a histogram cannot range from \(low) to \(high)")
    }
    let edges = (0...bins).map { $0 == bins ? high : low + (high - low) / Double(bins) * Double($0) }
    var counts = [Int](repeating: 0, count: bins)
    for value in values where value >= low && value <= high {
      // A guess, then the bin whose borders hold the value.
      var bin = min(Int((value - low) / (high - low) * Double(bins)), bins - 1)
      if value < edges[bin] { bin -= 1 } else if bin + 1 < bins, value >= edges[bin + 1] { bin += 1 }
      counts[bin] += 1
    }
    self.edges = edges
    self.counts = counts
  }
}
