import Diagnostics

/// The scores of normal images: what the scores of others are judged by.
public struct NormalScores: Sendable, Equatable {
  /// By rising score.
  private let sorted: [Double]

  /// - Throws: `Failure` when there is no score or one that is not finite.
  public init(_ scores: [Double]) throws {
    try requireFinite(scores, "scores of normal images")
    guard !scores.isEmpty else { throw Failure(.badData, "metrics: there are no scores of normal images") }
    sorted = scores.sorted()
  }

  public var count: Int { sorted.count }
  public var highest: Double { sorted[sorted.count - 1] }

  /// How many of the normal images score as high as that, or higher.
  public func count(reaching score: Double) -> Int {
    var (low, high) = (0, sorted.count)
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] < score { low = middle + 1 } else { high = middle }
    }
    return sorted.count - low
  }

  /// The probability that a normal image scores as high, where nothing is known of it but that these are of its kind: the p-value of
  /// conformal prediction, (1 + those that reach the score) / (1 + all).
  public func pValue(of score: Double) -> Double { Double(1 + count(reaching: score)) / Double(1 + sorted.count) }

  /// The lowest score from which on the p-value is at most `rate`: a normal image reaches it with that probability at the most.
  ///
  /// Fewer than 1 / rate - 1 images cannot show so low a rate; then it is the lowest that none of them reaches.
  public func threshold(falseAlarmRate rate: Double) -> Double {
    let all = sorted.count + 1
    // Compared as p-values are.
    var reaching = min(Int(rate * Double(all)), sorted.count)
    if reaching < sorted.count, Double(reaching + 1) / Double(all) <= rate { reaching += 1 }
    if Double(reaching) / Double(all) > rate { reaching -= 1 }
    return sorted[sorted.count - max(reaching, 1)].nextUp
  }

  /// The exact 95 % confidence interval of the rate of normal images that reach a score which was chosen by its rank among these:
  /// that rate has the beta distribution of order statistics.
  public func rateInterval(ofRankedThreshold score: Double) -> ClosedRange<Double> {
    let reaching = count(reaching: score)
    guard reaching < sorted.count else { return 0...1 }
    let (a, b) = (reaching + 1, sorted.count - reaching)
    return betaQuantile(0.025, a, b)...betaQuantile(0.975, a, b)
  }

  /// The exact 95 % confidence interval of the rate of normal images that reach a score which was chosen without looking at these.
  public func rateInterval(ofGivenThreshold score: Double) -> ClosedRange<Double> {
    binomialInterval(count(reaching: score), of: sorted.count)
  }
}
