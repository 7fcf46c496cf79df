import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Metrics

@Suite struct ScoreStatisticsTests {
  struct Case: Decodable {
    let values: Data
    let mean: Double
    let deviation: Double
    let minimum: Double
    let maximum: Double
    let quantiles: [Double]
  }

  @Test func agreesWithNumpy() throws {
    for example in try fixture("statistics", in: .module, as: [Case].self) {
      let statistics = try ScoreStatistics(example.values.numbers(Double.self))
      #expect(statistics.count == example.values.count / 8)
      #expect(isClose(statistics.mean, example.mean, within: 1e-14))
      #expect(isClose(statistics.standardDeviation, example.deviation, within: 1e-12))
      #expect(statistics.minimum == example.minimum)
      #expect(statistics.maximum == example.maximum)
      #expect(statistics.quantiles.map(\.probability) == ScoreStatistics.probabilities)
      for (quantile, expected) in zip(statistics.quantiles, example.quantiles) {
        #expect(isClose(quantile.value, expected, within: 1e-14))
      }
    }
  }

  @Test func theOrderOfValuesChangesNoBit() throws {
    var random = SeededGenerator(seed: 7)
    let values = (0..<1000).map { _ in Double.random(in: -1...1, using: &random) }
    #expect(try ScoreStatistics(values.shuffled(using: &random)) == ScoreStatistics(values))
  }

  @Test func equalValuesHaveNoDeviation() throws {
    let statistics = try ScoreStatistics(repeatElement(0.1, count: 1001))
    #expect(statistics.mean == 0.1)
    #expect(statistics.standardDeviation == 0)
    #expect(statistics.quantiles.allSatisfy { $0.value == 0.1 })
  }

  @Test func survivesJSON() throws {
    let statistics = try ScoreStatistics((0..<100).map { sin(Double($0)) })
    let json = try JSONEncoder().encode(statistics)
    #expect(try JSONDecoder().decode(ScoreStatistics.self, from: json) == statistics)
  }

  @Test func noValuesOrBadOnesAreRejected() {
    #expect(throws: Failure.self) { _ = try ScoreStatistics([]) }
    #expect(throws: Failure.self) { _ = try ScoreStatistics([1, .nan]) }
    #expect(throws: Failure.self) { _ = try ScoreStatistics([1, -.infinity]) }
  }
}

@Suite struct HistogramTests {
  struct Case: Decodable {
    let values: Data
    let bins: Int
    let low: Double
    let high: Double
    let counts: [Int]
    let edges: Data
  }

  @Test func agreesWithNumpy() throws {
    for example in try fixture("histograms", in: .module, as: [Case].self) {
      let histogram = try Histogram(
        values: example.values.numbers(Double.self), bins: example.bins, range: example.low...example.high)
      #expect(histogram.counts == example.counts)
      let edges: [Double] = example.edges.numbers()
      #expect(histogram.edges.count == edges.count)
      #expect(zip(histogram.edges, edges).allSatisfy { isClose($0, $1, within: 1e-14) })
    }
  }

  @Test func badInputIsRejected() {
    let largest = Double.greatestFiniteMagnitude
    for (bins, range) in [(0, 0...1), (-1, 0...1), (3, 0 ... .infinity), (3, -largest...largest), (3, 1e300...1e300)] {
      #expect(throws: Failure.self) { _ = try Histogram(values: [0.5], bins: bins, range: range) }
    }
    #expect(throws: Failure.self) { _ = try Histogram(values: [.nan], bins: 3, range: 0...1) }
  }
}

@Suite struct RadixSortTests {
  @Test func sortsByTheGivenBitsAndIsStable() {
    var random = SeededGenerator(seed: 11)
    for count in [0, 1, 2, 1000] {
      let keys = (0..<count).map { _ in UInt64.random(in: 0...UInt64.max, using: &random) }
      var sorted = keys
      radixSort(&sorted, bits: 0..<64)
      #expect(sorted == keys.sorted())
      sorted = keys
      radixSort(&sorted, bits: 60..<64)
      let expected = keys.enumerated().sorted { ($0.element >> 60, $0.offset) < ($1.element >> 60, $1.offset) }
      #expect(sorted == expected.map(\.element))
    }
  }

  @Test func orderedBitsOrderAsTheNumbersDo() {
    let numbers: [Double] = [
      -.infinity, -1e300, -1.5, -1, -.leastNonzeroMagnitude, 0, .leastNonzeroMagnitude, 1, 1.5, .infinity,
    ]
    #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0.orderedBits < $1.orderedBits })
    #expect(numbers.allSatisfy { Double(orderedBits: $0.orderedBits) == $0 })
    let floats: [Float] = [-.infinity, -2, -.leastNonzeroMagnitude, 0, .leastNonzeroMagnitude, 2, .infinity]
    #expect(zip(floats, floats.dropFirst()).allSatisfy { $0.orderedBits < $1.orderedBits })
    #expect(Double(-0.0).orderedBits == Double(0).orderedBits)
    #expect(Float(-0.0).orderedBits == Float(0).orderedBits)
  }
}
