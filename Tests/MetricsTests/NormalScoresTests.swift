import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Metrics

@Suite struct NormalScoresTests {
  struct Fixtures: Decodable {
    struct Interval: Decodable {
      let count: Int
      let trials: Int
      let confidence: Double
      let low: Double
      let high: Double
    }
    struct Rate: Decodable {
      let rate: Double
      let bound: Double
      let expected: Double
      let low: Double
      let high: Double
    }
    struct Threshold: Decodable {
      let scores: Data
      let probes: Data
      let pValues: [Double]
      let rates: [Rate]
    }
    let intervals: [Interval]
    let thresholds: [Threshold]
  }

  private let fixtures: Fixtures

  init() throws { fixtures = try fixture("normal_scores", in: .module) }

  @Test func intervalsAreClopperAndPearsons() {
    #expect(fixtures.intervals.count > 50)
    for example in fixtures.intervals {
      let interval = binomialInterval(example.count, of: example.trials, confidence: example.confidence)
      #expect(isClose(interval.lowerBound, example.low, within: 1e-11), "\(example)")
      #expect(isClose(interval.upperBound, example.high, within: 1e-11), "\(example)")
    }
  }

  @Test func thresholdsAndTheirRatesAreThoseOfOrderStatistics() throws {
    for example in fixtures.thresholds {
      let normal = try NormalScores(example.scores.numbers())
      let probes: [Double] = example.probes.numbers()
      #expect(probes.map(normal.pValue(of:)) == example.pValues)
      for expected in example.rates {
        let threshold = try #require(
          DecisionThreshold(.falseAlarmRate(expected.rate), normal: normal, areHeldOut: true))
        #expect(threshold.value == expected.bound.nextUp, "\(expected)")
        #expect(!threshold.isReached(by: expected.bound) && threshold.isReached(by: expected.bound.nextUp))
        let rate = try #require(threshold.falseAlarms)
        #expect(rate.images == normal.count && rate.rate == expected.expected)
        #expect(isClose(rate.interval.lowerBound, expected.low, within: 1e-11), "\(expected)")
        #expect(isClose(rate.interval.upperBound, expected.high, within: 1e-11), "\(expected)")
      }
    }
  }

  /// Whoever alarms at p <= rate and whoever alarms at the threshold do the same.
  @Test func aThresholdAndItsPValueDecideAlike() throws {
    var random = SeededGenerator(seed: 5)
    for count in [1, 9, 10, 99, 100, 250] {
      let scores = (0..<count).map { _ in Double(Int.random(in: 0..<200, using: &random)) / 100 }
      let normal = try NormalScores(scores)
      for rate in [0.01, 0.05, 0.1, 0.2, 0.29, 0.5] where rate * Double(count + 1) >= 1 {
        let threshold = normal.threshold(falseAlarmRate: rate)
        for score in scores + scores.map(\.nextUp) + [-1, 3] {
          #expect((score >= threshold) == (normal.pValue(of: score) <= rate), "\(count) \(rate) \(score)")
        }
      }
    }
  }

  @Test func thresholdsFromElsewhereAreJudgedByTheNormalImages() throws {
    let normal = try NormalScores((1...39).map(Double.init))
    let given = try #require(DecisionThreshold(.given(38), normal: normal, areHeldOut: false))
    #expect(given.value == 38 && given.wantedRate == nil && given.falseAlarms?.rate == 3.0 / 40)
    #expect(given.falseAlarms?.interval == binomialInterval(2, of: 39) && given.falseAlarms?.areHeldOut == false)
    let f1 = try #require(DecisionThreshold(.f1OfTestLabels, normal: nil, areHeldOut: false, f1: 7))
    #expect(f1.value == 7 && f1.source == .f1OfTestLabels && f1.falseAlarms == nil)
    #expect(DecisionThreshold(.f1OfTestLabels, normal: normal, areHeldOut: true) == nil)
    #expect(DecisionThreshold(.falseAlarmRate(0.1), normal: nil, areHeldOut: true) == nil)
  }

  @Test func aSummaryCountsBothKindsOfImages() throws {
    let threshold = try #require(DecisionThreshold(.given(1), normal: nil, areHeldOut: false))
    let images = [(0.5, nil), (1, nil), (2, "hole"), (0.9, "hole"), (1, "stain")].map {
      ImageResult(score: $0.0, defect: $0.1, referenceArea: nil)
    }
    let summary = VerdictSummary(threshold, images: images)
    #expect(summary.falseAlarms == ObservedRate(1, of: 2) && summary.detections == ObservedRate(2, of: 3))
    #expect(summary.detectionsByDefect["hole"] == ObservedRate(1, of: 2))
    #expect(summary.detectionsByDefect["stain"] == ObservedRate(1, of: 1))
    #expect(VerdictSummary(threshold, images: []).falseAlarms == nil)
    let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(summary)) as? [String: Any]
    #expect(json?["threshold"] as? Double == 1 && json?["source"] as? String == "given")
    #expect(json?["expected_false_alarm_rate"] is NSNull)
    #expect((json?["detections"] as? [String: Any])?["count"] as? Int == 2)
  }

  @Test func noScoresOrBadOnesAreRejected() {
    #expect(throws: Failure.self) { _ = try NormalScores([]) }
    #expect(throws: Failure.self) { _ = try NormalScores([1, .nan]) }
  }
}

@Suite struct AnomalousRegionTests {
  /// Two regions above the extent, of which one has a pixel above the peak, and a third one whose peak is higher.
  @Test func regionsNeedAPeakAndReachToTheExtent() throws {
    let map: [Float] = [
      1, 1, 0, 0, 0, 0,
      1, 3, 0, 0, 2, 0,
      0, 0, 1, 0, 0, 0,
      0, 0, 0, 0, 0, 0,
      0, 0, 0, 0, 5, 5,
    ]
    let (regions, mask) = try AnomalousRegion.find(in: map, width: 6, height: 5, peak: 3, extent: 1)
    #expect(
      regions == [
        AnomalousRegion(columns: 4..<6, rows: 4..<5, area: 2, peak: 5, peakColumn: 4, peakRow: 4),
        AnomalousRegion(columns: 0..<3, rows: 0..<3, area: 5, peak: 3, peakColumn: 1, peakRow: 1),
      ])
    #expect(mask == map.enumerated().map { $0.element >= 1 && $0.offset != 10 })
    #expect(try AnomalousRegion.find(in: map, width: 6, height: 5, peak: 6, extent: 1).regions.isEmpty)
    #expect(throws: Failure.self) { _ = try AnomalousRegion.find(in: map, width: 5, height: 5, peak: 1, extent: 1) }
  }
}
