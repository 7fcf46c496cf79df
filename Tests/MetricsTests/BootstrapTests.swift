import Foundation
import TestSupport
import Testing

@testable import Metrics

@Suite struct BootstrapTests {
  /// Scores of two classes that overlap, the anomalous ones first.
  private func example(
    seed: UInt64, normal: Int = 60, anomalous: Int = 140
  ) -> (scores: [Double], labels: [Bool]) {
    var random = SeededGenerator(seed: seed)
    let scores = (0..<normal + anomalous).map { index in
      (0..<4).reduce(index < anomalous ? 1.0 : 0) { sum, _ in sum + Double.random(in: -1...1, using: &random) }
    }
    return (scores, scores.indices.map { $0 < anomalous })
  }

  private func intervals(_ scores: [Double], _ labels: [Bool]) throws -> ImageMeasures<ConfidenceInterval> {
    try #require(try RankedScores(scores: scores, labels: labels).confidenceIntervals())
  }

  /// The variance of AUROC by E. DeLong et al., "Comparing the areas under two or more correlated ROC curves", 1988.
  private func standardError(_ scores: [Double], _ labels: [Bool]) -> Double {
    let positive = zip(scores, labels).filter(\.1).map(\.0)
    let negative = zip(scores, labels).filter { !$0.1 }.map(\.0)
    func wins(_ high: Double, _ low: Double) -> Double { high > low ? 1 : high == low ? 0.5 : 0 }
    func variance(_ values: [Double]) -> Double {
      let mean = values.reduce(0, +) / Double(values.count)
      return values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)
    }
    let ofPositive = positive.map { high in negative.reduce(0) { $0 + wins(high, $1) } / Double(negative.count) }
    let ofNegative = negative.map { low in positive.reduce(0) { $0 + wins($1, low) } / Double(positive.count) }
    return (variance(ofPositive) / Double(positive.count) + variance(ofNegative) / Double(negative.count)).squareRoot()
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func theIntervalOfAUROCIsAsWideAsItsStandardErrorSays(seed: UInt64) throws {
    let (scores, labels) = example(seed: seed)
    let interval = try intervals(scores, labels).auroc
    let ratio = (interval.high - interval.low) / (2 * 1.96 * standardError(scores, labels))
    #expect(abs(ratio - 1) < 0.12, "\(ratio)")
    let area = try #require(try RankedScores(scores: scores, labels: labels).auroc)
    #expect(interval.contains(area) && abs((interval.low + interval.high) / 2 - area) < 0.02)
  }

  @Test func theOrderOfImagesChangesNoBit() throws {
    let (scores, labels) = example(seed: 5)
    // Ties as well.
    let rounded = scores.map { ($0 * 4).rounded() / 4 }
    var random = SeededGenerator(seed: 1)
    let order = scores.indices.shuffled(using: &random)
    for scores in [scores, rounded] {
      #expect(try intervals(scores, labels) == intervals(order.map { scores[$0] }, order.map { labels[$0] }))
    }
  }

  @Test func onlyTheOrderOfScoresMatters() throws {
    let (scores, labels) = example(seed: 6)
    #expect(try intervals(scores, labels) == intervals(scores.map { exp(3 * $0) - 100 }, labels))
  }

  @Test func everyMeasureHasAnIntervalThatHoldsIt() throws {
    for seed in 10..<20 as Range<UInt64> {
      let (scores, labels) = example(seed: seed, normal: 12, anomalous: 30)
      let ranked = try RankedScores(scores: scores, labels: labels)
      let (measures, intervals) = (try #require(ranked.measures), try #require(ranked.confidenceIntervals()))
      #expect(intervals.auroc.contains(measures.auroc))
      #expect(intervals.averagePrecision.contains(measures.averagePrecision))
      #expect(intervals.f1Max.contains(measures.f1Max))
      #expect(intervals.auroc.low < intervals.auroc.high)
    }
  }

  @Test func separatedClassesHaveNoSpread() throws {
    let sure = try intervals([1, 2, 3, 4], [false, false, true, true])
    for interval in [sure.auroc, sure.averagePrecision, sure.f1Max] { #expect(interval.low == 1 && interval.high == 1) }
    for labels in [[true, true], [false, false], []] {
      #expect(try RankedScores(scores: labels.map { _ in 1 }, labels: labels).confidenceIntervals() == nil)
    }
  }

  @Test func scoringsAreComparedOnTheSameImages() throws {
    let (scores, labels) = example(seed: 7)
    let first = try RankedScores(scores: scores, labels: labels)
    let same = try RankedScores(scores: scores.map { 2 * $0 }, labels: labels)
    let pair = try #require(bootstrap([first, same]))
    #expect(pair.count == 2 && (pair[0] - pair[1]).auroc.allSatisfy { $0 == 0 })
    #expect(pair[0].auroc.count == ConfidenceInterval.repetitions)

    // A little noise: the difference is far surer than either of the areas, since the images are the same.
    var random = SeededGenerator(seed: 8)
    let noisy = try RankedScores(
      scores: scores.map { $0 + Double.random(in: -0.1...0.1, using: &random) }, labels: labels)
    let measures = try #require(bootstrap([first, noisy]))
    let difference = ConfidenceInterval(of: (measures[1] - measures[0]).auroc)
    let own = ConfidenceInterval(of: measures[0].auroc)
    #expect(difference.high - difference.low < 0.4 * (own.high - own.low))
  }

  @Test func anIntervalIsWrittenAsItsEnds() throws {
    let interval = ConfidenceInterval(of: (0...1000).map { Double($0) / 1000 })
    #expect(isClose(interval.low, 0.025) && isClose(interval.high, 0.975))
    let json = try JSONEncoder().encode(interval)
    #expect(try JSONDecoder().decode([Double].self, from: json) == [interval.low, interval.high])
    #expect(try JSONDecoder().decode(ConfidenceInterval.self, from: json) == interval)
  }
}
