import Diagnostics
import Foundation
import Metrics
import TestSupport
import Testing

@Suite struct RankedScoresTests {
  struct Case: Decodable {
    let name: String
    let scores: Data
    let labels: Data
    let auroc: Double
    let ap: Double
    let f1max: Double
    let threshold: Double
  }

  /// A few scores with many ties, both classes present.
  private func randomCase(seed: UInt64) -> (scores: [Double], labels: [Bool]) {
    var random = SeededGenerator(seed: seed)
    let count = Int.random(in: 2...30, using: &random)
    let scores = (0..<count).map { _ in Double(Int.random(in: -4...4, using: &random)) / 4 }
    return (scores, [true, false] + (2..<count).map { _ in Bool.random(using: &random) })
  }

  @Test func agreesWithScikitLearn() throws {
    for example in try fixture("rankings", in: .module, as: [Case].self) {
      let name = Comment(rawValue: example.name)
      let ranked = try RankedScores(scores: example.scores.numbers(), labels: example.labels.flags)
      #expect(isClose(ranked.auroc, example.auroc), name)
      #expect(isClose(ranked.averagePrecision, example.ap), name)
      #expect(isClose(ranked.f1Max?.value, example.f1max), name)
      #expect(ranked.f1Max?.threshold == example.threshold, name)
    }
  }

  @Test func aurocIsTheShareOfWellOrderedPairs() throws {
    for seed in 0..<300 as Range<UInt64> {
      let (scores, labels) = randomCase(seed: seed)
      var wins = 0.0
      var pairs = 0.0
      for (positive, _) in zip(scores, labels).filter(\.1) {
        for (negative, _) in zip(scores, labels).filter({ !$0.1 }) {
          wins += positive > negative ? 1 : positive == negative ? 0.5 : 0
          pairs += 1
        }
      }
      #expect(try RankedScores(scores: scores, labels: labels).auroc == wins / pairs)
    }
  }

  @Test func negatedScoresGiveTheComplement() throws {
    for seed in 0..<100 as Range<UInt64> {
      let (scores, labels) = randomCase(seed: seed)
      let forward = try #require(try RankedScores(scores: scores, labels: labels).auroc)
      let backward = try RankedScores(scores: scores.map(-), labels: labels).auroc
      #expect(isClose(backward, 1 - forward, within: 1e-15))
    }
  }

  @Test func onlyTheOrderOfScoresMatters() throws {
    for seed in 0..<100 as Range<UInt64> {
      let (scores, labels) = randomCase(seed: seed)
      let ranked = try RankedScores(scores: scores, labels: labels)
      let mapped = try RankedScores(scores: scores.map { exp(3 * $0) - 100 }, labels: labels)
      #expect(mapped.auroc == ranked.auroc)
      #expect(mapped.averagePrecision == ranked.averagePrecision)
      #expect(mapped.f1Max?.value == ranked.f1Max?.value)

      var random = SeededGenerator(seed: seed)
      let order = scores.indices.shuffled(using: &random)
      let shuffled = try RankedScores(scores: order.map { scores[$0] }, labels: order.map { labels[$0] })
      #expect(shuffled.auroc == ranked.auroc)
      #expect(shuffled.averagePrecision == ranked.averagePrecision)
      #expect(shuffled.f1Max?.threshold == ranked.f1Max?.threshold)
    }
  }

  @Test func theThresholdOfF1MaxAchievesIt() throws {
    for seed in 0..<100 as Range<UInt64> {
      let (scores, labels) = randomCase(seed: seed)
      let best = try #require(try RankedScores(scores: scores, labels: labels).f1Max)
      func f1(at threshold: Double) -> Double {
        let hits = zip(scores, labels).count { $0 >= threshold && $1 }
        return 2 * Double(hits) / Double(scores.count { $0 >= threshold } + labels.count { $0 })
      }
      #expect(f1(at: best.threshold) == best.value)
      #expect(scores.allSatisfy { f1(at: $0) < best.value || $0 >= best.threshold })
    }
  }

  @Test func rocOfFewScoresHoldsEveryThreshold() throws {
    let ranked = try RankedScores(scores: [4, 3, 3, 2, 1], labels: [true, true, false, false, true])
    let third = 1.0 / 3
    #expect(
      ranked.roc == [
        CurvePoint(x: 0, y: 0), CurvePoint(x: 0, y: third), CurvePoint(x: 0.5, y: 2 * third),
        CurvePoint(x: 1, y: 2 * third), CurvePoint(x: 1, y: 1),
      ])
  }

  @Test func precisionAndRecallOfFewScoresHoldEveryGain() throws {
    let ranked = try RankedScores(scores: [4, 3, 3, 2, 1], labels: [true, true, false, false, true])
    let third = 1.0 / 3
    #expect(
      ranked.precisionRecall == [
        CurvePoint(x: 0, y: 1), CurvePoint(x: third, y: 1), CurvePoint(x: 2 * third, y: 2 * third),
        CurvePoint(x: 1, y: 0.6),
      ])
  }

  @Test func oneClassHasNoMeasures() throws {
    for labels in [[true, true], [false, false], []] {
      let ranked = try RankedScores(scores: labels.map { _ in 1 }, labels: labels)
      #expect(ranked.auroc == nil)
      #expect(ranked.averagePrecision == nil)
      #expect(ranked.f1Max == nil)
      #expect(ranked.roc == nil)
      #expect(ranked.precisionRecall == nil)
      #expect(ranked.measures == nil)
    }
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity])
  func scoresThatAreNotFiniteAreRejected(score: Double) {
    #expect {
      _ = try RankedScores(scores: [1, score], labels: [true, false])
    } throws: {
      ($0 as? Failure)?.code == .internalError
    }
  }

  @Test func labelsMustBeAsManyAsScores() {
    #expect(throws: Failure.self) { _ = try RankedScores(scores: [1, 2], labels: [true]) }
  }
}
