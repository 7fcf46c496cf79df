import RandomStreams

/// Where a measure lies in 95 of 100 test sets like the one that was seen: the middle 95 percent of its values on samples
/// with repetition from the images (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993: the percentile interval).
///
/// The normal images and the anomalous ones are drawn for themselves, so that their numbers stay. The draws are seeded: the same scores have the same
/// interval, in whatever order and from however many ranks they come. A measure that is 1 has the interval from 1 to 1: a sample cannot show
/// an error that the test set does not hold.
public struct ConfidenceInterval: Codable, Sendable, Equatable {
  public static let confidence = 0.95
  /// Samples that are drawn.
  public static let repetitions = 1000

  public let low: Double
  public let high: Double

  public func contains(_ value: Double) -> Bool { low <= value && value <= high }

  /// - Parameter values: of the measure on each sample, at least one.
  public init(of values: [Double]) {
    let sorted = values.sorted()
    low = quantile((1 - Self.confidence) / 2, ofSorted: sorted)
    high = quantile((1 + Self.confidence) / 2, ofSorted: sorted)
  }

  /// Written as the pair of its ends.
  public func encode(to encoder: any Encoder) throws { try [low, high].encode(to: encoder) }

  public init(from decoder: any Decoder) throws {
    var ends = try decoder.unkeyedContainer()
    (low, high) = (try ends.decode(Double.self), try ends.decode(Double.self))
  }
}

/// Something of each of the measures of image scores.
public struct ImageMeasures<Value> {
  public var auroc: Value
  public var averagePrecision: Value
  public var f1Max: Value

  public init(auroc: Value, averagePrecision: Value, f1Max: Value) {
    self.auroc = auroc
    self.averagePrecision = averagePrecision
    self.f1Max = f1Max
  }

  private enum CodingKeys: String, CodingKey {
    case auroc
    case averagePrecision = "ap"
    case f1Max = "f1max"
  }

  /// What `body` makes of each measure.
  public func map<Other>(_ body: (Value) -> Other) -> ImageMeasures<Other> {
    ImageMeasures<Other>(auroc: body(auroc), averagePrecision: body(averagePrecision), f1Max: body(f1Max))
  }
}

extension ImageMeasures: Sendable where Value: Sendable {}
extension ImageMeasures: Equatable where Value: Equatable {}
extension ImageMeasures: Encodable where Value: Encodable {}
extension ImageMeasures: Decodable where Value: Decodable {}

extension ImageMeasures<[Double]> {
  /// One set of measures after the other, measure by measure.
  init(_ all: [ImageMeasures<Double>]) {
    self.init(auroc: all.map(\.auroc), averagePrecision: all.map(\.averagePrecision), f1Max: all.map(\.f1Max))
  }

  /// The differences of the measures on the same samples.
  public static func - (first: Self, second: Self) -> Self {
    Self(
      auroc: zip(first.auroc, second.auroc).map(-),
      averagePrecision: zip(first.averagePrecision, second.averagePrecision).map(-),
      f1Max: zip(first.f1Max, second.f1Max).map(-))
  }
}

extension RankedScores {
  /// The three measures of image scores; nil when a class is missing.
  public var measures: ImageMeasures<Double>? {
    guard let auroc, let averagePrecision, let f1Max else { return nil }
    return ImageMeasures(auroc: auroc, averagePrecision: averagePrecision, f1Max: f1Max.value)
  }

  /// Nil when a class is missing.
  func confidenceIntervals() -> ImageMeasures<ConfidenceInterval>? {
    // In the order of the scores, whatever the order of the images.
    let steps = (positive: stepsOfSamples.positive.sorted(), negative: stepsOfSamples.negative.sorted())
    return bootstrap([(self, steps)], name: "")?.first?.map(ConfidenceInterval.init(of:))
  }
}

/// The measures of several scorings of the same images on the same samples with repetition from these images.
/// - Parameters:
///   - rankings: of the same labels in the same order.
///   - name: of the test set: the samples from several sets are independent of each other.
/// - Returns: for each ranking the measures on each sample; nil when a class is missing.
public func bootstrap(_ rankings: [RankedScores], name: String = "") -> [ImageMeasures<[Double]>]? {
  bootstrap(rankings.map { ($0, $0.stepsOfSamples) }, name: name)
}

private func bootstrap(
  _ rankings: [(scores: RankedScores, steps: (positive: [Int], negative: [Int]))], name: String
) -> [ImageMeasures<[Double]>]? {
  guard let first = rankings.first?.scores, first.positives > 0, first.negatives > 0 else { return nil }
  precondition(
    rankings.allSatisfy { $0.scores.positives == first.positives && $0.scores.negatives == first.negatives })
  var random = SplitMix64(1, name: "bootstrap " + name)
  func draw(_ count: Int) -> [Int] { (0..<count).map { _ in Int(random.below(UInt64(count))) } }
  var measures = [[ImageMeasures<Double>]](repeating: [], count: rankings.count)
  for _ in 0..<ConfidenceInterval.repetitions {
    let (positive, negative) = (draw(first.positives), draw(first.negatives))
    for (index, (scores, steps)) in rankings.enumerated() {
      let sample = scores.resampled(
        positive: positive.lazy.map { steps.positive[$0] }, negative: negative.lazy.map { steps.negative[$0] })
      sample.measures.map { measures[index].append($0) }
    }
  }
  return measures.map(ImageMeasures.init)
}
