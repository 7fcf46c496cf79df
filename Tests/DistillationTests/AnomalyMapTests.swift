import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Distillation

@Suite struct AnomalyMapTests {
  /// Written by scripts/fixtures/anomaly_map.py.
  struct Case: Decodable {
    let size: Int
    let sizes: [Int]
    let scales: String
    let sigma: Double
    let maps: [Data]
    /// The rows of the result that `values` holds.
    let rows: [Int]
    let values: Data
    let max: Double
    let sum: Double
  }

  @Test func agreesWithPyTorchAndSciPy() throws {
    for example in try fixture("anomaly_map", in: .module, as: [Case].self) {
      let mapper = try AnomalyMapper(
        imageSize: example.size, mapSizes: example.sizes, scales: ScoredScales(example.scales), sigma: example.sigma)
      let map = try mapper.map(example.maps.map { $0.numbers() })
      let expected = example.values.numbers(Double.self)
      #expect(expected.count == example.rows.count * example.size)
      let values = example.rows.flatMap { map[$0 * example.size..<($0 + 1) * example.size] }
      let error = zip(values, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
      #expect(error < 1e-6, "\(example.size) from \(example.sizes) of \(example.scales): \(error)")
      #expect(abs(ImageScore.maximum(map) - example.max) < 1e-6)
      #expect(abs(ImageScore.sum(map) - example.sum) < 1e-7 * example.sum)
    }
  }

  @Test func aConstantStaysWhatItIs() throws {
    let mapper = try AnomalyMapper(imageSize: 48, mapSizes: [12, 6, 3])
    let map = try mapper.map([144, 36, 9].map { [Float](repeating: 0.25, count: $0) })
    #expect(map.allSatisfy { abs($0 - 0.75) < 1e-6 })
  }

  @Test func scalesThatAreNotChosenAreNotRead() throws {
    let mapper = try AnomalyMapper(imageSize: 32, mapSizes: [8, 4, 2], scales: ScoredScales("M2"))
    let map = try mapper.map([
      [Float](repeating: .nan, count: 64), [Float](repeating: 1, count: 16), [Float](repeating: .nan, count: 4),
    ])
    #expect(map.allSatisfy { abs($0 - 1) < 1e-6 })
  }

  @Test func threadsCanShareAMapper() async throws {
    let mapper = try AnomalyMapper(imageSize: 64, mapSizes: [16, 8, 4])
    let inputs: [[[Float]]] = (0..<8).map { image in [256, 64, 16].map { pattern(count: $0, seed: image) } }
    let alone = try inputs.map { try mapper.map($0) }
    let together = try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
      for (index, input) in inputs.enumerated() { group.addTask { (index, try mapper.map(input)) } }
      return try await group.reduce(into: [[Float]](repeating: [], count: inputs.count)) { $0[$1.0] = $1.1 }
    }
    #expect(together == alone)
  }

  @Test func whatMakesNoSenseIsRejected() throws {
    #expect(throws: Failure.self) { _ = try AnomalyMapper(imageSize: 0, mapSizes: [8, 4, 2]) }
    #expect(throws: Failure.self) { _ = try AnomalyMapper(imageSize: 32, mapSizes: [8, 4]) }
    #expect(throws: Failure.self) { _ = try AnomalyMapper(imageSize: 32, mapSizes: [8, 4, 0]) }
    for sigma in [-1, .nan, .infinity] {
      #expect(throws: Failure.self) { _ = try AnomalyMapper(imageSize: 32, mapSizes: [8, 4, 2], sigma: sigma) }
    }
    let mapper = try AnomalyMapper(imageSize: 32, mapSizes: [8, 4, 2])
    #expect(throws: Failure.self) { _ = try mapper.map([[1], [1], [1]]) }
    #expect(throws: Failure.self) { _ = try mapper.map([]) }
  }

  @Test(.enabled(if: ProcessInfo.processInfo.environment["RD_MEASURE"] != nil)) func timeOfAnImage() throws {
    let mapper = try AnomalyMapper(imageSize: 256, mapSizes: [64, 32, 16])
    let maps = [64, 32, 16].map { pattern(count: $0 * $0, seed: 0) }
    _ = try mapper.map(maps)
    let times = try (0..<50).map { _ in try ContinuousClock().measure { _ = try mapper.map(maps) } }
    print("anomaly map of 256 x 256: \(times.sorted()[25]) an image")
  }
}

@Suite struct ScoredScalesTests {
  @Test func everyAcceptedTextIsReadAndWritten() throws {
    for text in ScoredScales.accepted { #expect(try ScoredScales(text).description == text) }
    #expect(try Set(ScoredScales.accepted.map { try ScoredScales($0) }).count == 7)
    #expect(try ScoredScales("M1+M2+M3") == .all)
    #expect(try ScoredScales("M3+M2").scales == [.second, .third])
    #expect(try !ScoredScales("M3+M2").contains(.first))
  }

  @Test(arguments: ["", "M0", "M4", "m1", "M1+", "+M1", "M1+M1", "M1 + M2", "M1,M2", "all"])
  func everythingElseIsRejectedWithTheChoices(text: String) {
    let failure = #expect(throws: Failure.self) { _ = try ScoredScales(text) }
    #expect(failure?.code == .usage)
    #expect(failure?.message.contains("'\(text)'") == true)
    #expect(failure?.hint?.contains("M1+M2+M3") == true)
  }
}

@Suite struct ImageScoreTests {
  @Test func maximumAndSum() {
    #expect(ImageScore.maximum([-3, -1, -2]) == -1)
    #expect(ImageScore.sum([0.5, 1.5, -1]) == 1)
    #expect(ImageScore.sum([Float](repeating: 0.1, count: 100_000)) == 100_000 * Double(Float(0.1)))
    #expect(ImageScore.allCases.map(\.rawValue) == ["max", "sum"])
  }

  @Test(arguments: ImageScore.allCases) func nanIsNotHidden(score: ImageScore) {
    for map in [[Float.nan, 1, 2], [1, .nan, 2], [1, 2, .nan]] { #expect(score(map).isNaN) }
  }
}

private func pattern(count: Int, seed: Int) -> [Float] {
  (0..<count).map { index in Float((index * 37 + seed * 11) % 19) / 19 }
}
