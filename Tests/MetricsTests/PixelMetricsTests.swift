import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Metrics

/// A small set of anomaly maps with the reference implementations' results.
struct PixelCase: Decodable {
  let name: String
  let count: Int
  let width: Int
  let height: Int
  let maps: Data
  let masks: Data
  let auroc: Double
  let ap: Double
  let regions: Int
  /// At the limits 0.3, 0.05 and 1.
  let aupro: [Double]
  let reference: Double?
  let skipped: Int

  var arrays: (maps: [[Float]], masks: [[Bool]]) {
    (maps.numbers(Float.self).chunks(of: width * height), masks.flags.chunks(of: width * height))
  }
}

@Suite struct PixelMetricsTests {
  @Test func agreesWithScikitLearnAndALiteralPRO() throws {
    for example in try fixture("pixels", in: .module, as: [PixelCase].self) {
      let name = Comment(rawValue: example.name)
      let (maps, masks) = example.arrays
      for (limit, expected) in zip([0.3, 0.05, 1], example.aupro) {
        let metrics = try #require(
          try PixelMetrics(
            maps: maps, masks: masks, width: example.width, height: example.height, fprLimit: limit))
        #expect(isClose(metrics.auroc, example.auroc), name)
        #expect(isClose(metrics.averagePrecision, example.ap), name)
        #expect(isClose(metrics.aupro, expected), name)
        #expect(metrics.regions == example.regions, name)
      }
    }
  }

  @Test func neitherTheOrderOfImagesNorAMonotoneMapChangesABit() throws {
    for example in try fixture("pixels", in: .module, as: [PixelCase].self) {
      let (maps, masks) = example.arrays
      let size = (width: example.width, height: example.height)
      let metrics = try #require(
        try PixelMetrics(maps: maps, masks: masks, width: size.width, height: size.height))
      // A power of two as factor, so that no two scores become equal.
      for (otherMaps, otherMasks) in [
        (Array(maps.reversed()), Array(masks.reversed())), (maps.map { $0.map { 4 * $0 } }, masks),
      ] {
        let other = try #require(
          try PixelMetrics(maps: otherMaps, masks: otherMasks, width: size.width, height: size.height))
        #expect(other.auroc == metrics.auroc)
        #expect(other.averagePrecision == metrics.averagePrecision)
        #expect(other.aupro == metrics.aupro)
      }
    }
  }

  /// Random sets whose scores tie often, of all sizes down to a single pixel.
  private func randomSet(seed: UInt64) -> (maps: [[Float]], masks: [[Bool]], width: Int, height: Int) {
    var random = SeededGenerator(seed: seed)
    let (width, height) = (Int.random(in: 1...7, using: &random), Int.random(in: 1...7, using: &random))
    let images = Int.random(in: 1...4, using: &random)
    let levels = Int32.random(in: 1...40, using: &random)
    let maps = (0..<images).map { _ in
      (0..<width * height).map { _ in Float(Int32.random(in: -levels...levels, using: &random)) }
    }
    let masks = maps.map { $0.map { _ in Int.random(in: 0..<4, using: &random) == 0 } }
    return (maps, masks, width, height)
  }

  @Test func randomSetsKeepWhatMustHold() throws {
    var measured = 0
    for seed in 0..<300 as Range<UInt64> {
      let (maps, masks, width, height) = randomSet(seed: seed)
      let ranked = try RankedScores(
        scores: maps.flatMap { $0.map(Double.init) }, labels: masks.flatMap { $0 })
      let metrics = try PixelMetrics(maps: maps, masks: masks, width: width, height: height)
      #expect(metrics?.auroc == ranked.auroc)
      #expect(metrics?.precisionRecall == ranked.precisionRecall)
      #expect(isClose(metrics?.averagePrecision, ranked.averagePrecision))
      guard let metrics else { continue }
      measured += 1
      #expect((0...1 + 1e-12).contains(metrics.aupro))
      for curve in [metrics.roc, metrics.pro] {
        #expect(curve.first == CurvePoint(x: 0, y: 0))
        #expect(isClose(curve.last?.x, 1) && isClose(curve.last?.y, 1))
        #expect(zip(curve, curve.dropFirst()).allSatisfy { $0.x <= $1.x && $0.y <= $1.y })
      }
      // So few points that nothing is thinned out: the drawn curves have the measured areas.
      func area(_ curve: [CurvePoint]) -> Double {
        zip(curve, curve.dropFirst()).reduce(0) { $0 + ($1.1.x - $1.0.x) * ($1.0.y + $1.1.y) / 2 }
      }
      #expect(isClose(area(metrics.roc), metrics.auroc))
      let whole = try PixelMetrics(maps: maps, masks: masks, width: width, height: height, fprLimit: 1)
      #expect(isClose(area(metrics.pro), whole?.aupro))
    }
    #expect(measured > 200)
  }

  @Test func longCurvesAreThinnedToWhatAPlotShows() throws {
    var random = SeededGenerator(seed: 5)
    let side = 128
    let mask = (0..<side * side).map { $0 % side < side / 4 }
    let map = mask.map { Float.random(in: 0..<1, using: &random) + ($0 ? 0.5 : 0) }
    let metrics = try #require(try PixelMetrics(maps: [map], masks: [mask], width: side, height: side))
    #expect(metrics.roc.count < 1100)
    let area = zip(metrics.roc, metrics.roc.dropFirst()).reduce(0) { $0 + ($1.1.x - $1.0.x) * ($1.0.y + $1.1.y) / 2 }
    #expect(abs(area - metrics.auroc) < 1e-3)
  }

  @Test func scoresAddedFromSlicesGiveTheSame() throws {
    let example = try #require(try fixture("pixels", in: .module, as: [PixelCase].self).first)
    let (maps, masks) = example.arrays
    let flat = maps.flatMap { $0 }
    var scores = PixelScores(width: example.width, height: example.height)
    for (index, mask) in masks.enumerated() {
      let start = index * example.width * example.height
      try scores.add(map: flat[start..<start + mask.count], mask: mask.contains(true) ? mask : nil)
    }
    let metrics = try PixelMetrics(scores)
    #expect(isClose(metrics?.aupro, example.aupro[0]))
  }

  @Test func oneClassHasNoMeasures() throws {
    for mask in [[true, true], [false, false]] {
      #expect(try PixelMetrics(maps: [[0.5, 1]], masks: [mask], width: 2, height: 1) == nil)
    }
    #expect(try PixelMetrics(maps: [], masks: [], width: 2, height: 1) == nil)
  }

  @Test(arguments: [Float.nan, -.nan, .infinity, -.infinity])
  func scoresThatAreNotFiniteAreRejected(score: Float) {
    #expect {
      _ = try PixelMetrics(maps: [[1, score]], masks: [[true, false]], width: 2, height: 1)
    } throws: {
      ($0 as? Failure)?.code == .internalError
    }
  }

  @Test func wrongSizesAndLimitsAreRejected() {
    #expect(throws: Failure.self) { _ = try PixelMetrics(maps: [[1, 2]], masks: [], width: 2, height: 1) }
    #expect(throws: Failure.self) { _ = try PixelMetrics(maps: [[1, 2]], masks: [[true]], width: 2, height: 1) }
    #expect(throws: Failure.self) { _ = try PixelMetrics(maps: [[1]], masks: [[true, false]], width: 2, height: 1) }
    for limit in [0, -0.3, 1.01, .nan] {
      #expect(throws: Failure.self) {
        _ = try PixelMetrics(maps: [[1, 2]], masks: [[true, false]], width: 2, height: 1, fprLimit: limit)
      }
    }
  }
}

@Suite struct ReferenceOverlapTests {
  struct Arange: Decodable {
    let low: Double
    let high: Double
    let values: Data
  }

  @Test func agreesWithALiteralVersion() throws {
    for example in try fixture("pixels", in: .module, as: [PixelCase].self) {
      let name = Comment(rawValue: example.name)
      let (maps, masks) = example.arrays
      let overlap = try ReferenceOverlap(maps: maps, masks: masks, width: example.width, height: example.height)
      #expect(isClose(overlap.value, example.reference), name)
      #expect(overlap.skipped == example.skipped, name)
      #expect(overlap.images == example.count - example.skipped, name)
    }
  }

  @Test func aRateOfExactlyTheLimitIsDropped() throws {
    // Rates 0, 0.1, 0.2 with half of the region, then 0.2 with all of it; 0.3 comes below a score of 2.
    let map: [Float] = [10, 4, 8, 6, 2, 0, 0, 0, 0, 0, 0, 0]
    let mask = map.indices.map { $0 < 2 }
    #expect(try ReferenceOverlap(maps: [map], masks: [mask], width: 12, height: 1).value == 0.5)
  }

  @Test func thresholdsHaveTheBitsOfNumpysArange() throws {
    for example in try fixture("thresholds", in: .module, as: [Arange].self) {
      #expect(ReferenceOverlap.thresholds(from: example.low, to: example.high) == example.values.numbers())
    }
  }

  @Test func theOrderOfImagesChangesNoBit() throws {
    let example = try #require(try fixture("pixels", in: .module, as: [PixelCase].self).first)
    let (maps, masks) = example.arrays
    let overlap = try ReferenceOverlap(maps: maps, masks: masks, width: example.width, height: example.height)
    #expect(
      try ReferenceOverlap(
        maps: maps.reversed(), masks: masks.reversed(), width: example.width, height: example.height) == overlap)
  }

  @Test func badMapsAreRejected() {
    #expect(throws: Failure.self) {
      _ = try ReferenceOverlap(maps: [[.nan, 1]], masks: [[true, false]], width: 2, height: 1)
    }
    #expect(throws: Failure.self) {
      _ = try ReferenceOverlap(maps: [[1]], masks: [[true, false]], width: 2, height: 1)
    }
    #expect(throws: Failure.self) { _ = try ReferenceOverlap(maps: [[1, 2]], masks: [], width: 2, height: 1) }
  }
}
