import Diagnostics

/// What is kept of a set of anomaly scores: moments, extremes, quantiles.
///
/// A function of the set of values alone: their order, and with it the number of ranks they came from, changes no bit.
public struct ScoreStatistics: Codable, Sendable, Equatable {
  /// A value that a share of `probability` of the scores does not exceed.
  public struct Quantile: Codable, Sendable, Equatable {
    public let probability: Double
    public let value: Double

    public init(probability: Double, value: Double) {
      self.probability = probability
      self.value = value
    }
  }

  public static let probabilities = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999]

  public let count: Int
  public let mean: Double
  /// The square root of the unbiased variance; 0 for a single value.
  public let standardDeviation: Double
  public let minimum: Double
  public let maximum: Double
  /// The values at `probabilities`, linear between the two nearest ones in rank.
  public let quantiles: [Quantile]

  /// Statistics taken earlier, from their stored numbers.
  public init(
    count: Int, mean: Double, standardDeviation: Double, minimum: Double, maximum: Double, quantiles: [Quantile]
  ) {
    self.count = count
    self.mean = mean
    self.standardDeviation = standardDeviation
    self.minimum = minimum
    self.maximum = maximum
    self.quantiles = quantiles
  }

  /// - Throws: `Failure` when there is no value or one that is not finite.
  public init(_ values: some Sequence<Double>) throws {
    let values = Array(values)
    try requireFinite(values, "scores")
    guard !values.isEmpty else {
      throw Failure(.badData, "metrics: there are no scores to take statistics of")
    }
    var keys = values.map(\.orderedBits)
    radixSort(&keys, bits: 0..<64)
    let sorted = keys.map(Double.init(orderedBits:))
    let (low, high) = (sorted[0], sorted[sorted.count - 1])
    // Taken from the minimum, the mean of equal values is exact.
    let mean = low + sorted.reduce(0) { $0 + ($1 - low) } / Double(sorted.count)
    let squares = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    count = sorted.count
    self.mean = mean
    standardDeviation = sorted.count > 1 ? (squares / Double(sorted.count - 1)).squareRoot() : 0
    minimum = low
    maximum = high
    quantiles = Self.probabilities.map { Quantile(probability: $0, value: quantile($0, ofSorted: sorted)) }
  }
}

/// The value that a share of `probability` of the values does not exceed, linear between the two nearest in rank.
/// - Parameter sorted: at least one value, the smallest first.
func quantile(_ probability: Double, ofSorted sorted: [Double]) -> Double {
  let position = probability * Double(sorted.count - 1)
  let rank = Int(position)
  let (below, above) = (sorted[rank], sorted[min(rank + 1, sorted.count - 1)])
  return below + (above - below) * (position - Double(rank))
}
