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
        TileGrid(perSide: 1, tileSide: example.size), tileMapSizes: example.sizes, scales: ScoredScales(example.scales),
        sigma: example.sigma)
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
    let mapper = try AnomalyMapper(TileGrid(perSide: 1, tileSide: 48), tileMapSizes: [12, 6, 3])
    let map = try mapper.map([144, 36, 9].map { [Float](repeating: 0.25, count: $0) })
    #expect(map.allSatisfy { abs($0 - 0.75) < 1e-6 })
  }

  @Test func tilesAreBroughtTogetherAsIfOneByOne() throws {
    let grid = TileGrid(perSide: 3, tileSide: 32)
    let (sizes, side) = ([8, 4, 2], grid.side)
    let mapper = try AnomalyMapper(grid, tileMapSizes: sizes)
    let maps = sizes.map { pattern(count: 9 * $0 * $0, seed: $0) }
    // Each tile is enlarged alone; every pixel is the mean of what its tiles say, weighted by how far within them it lies.
    let enlarger = try AnomalyMapper(TileGrid(perSide: 1, tileSide: 32), tileMapSizes: sizes, sigma: 0)
    let tiles = try (0..<9).map { tile in
      try enlarger.map(
        zip(sizes, maps).map { size, map -> [Float] in
          (0..<size * size).map { pixel -> Float in
            let row = tile / 3 * size + pixel / size
            return map[row * 3 * size + tile % 3 * size + pixel % size]
          }
        })
    }
    func weight(_ place: Int, tile: Int) -> Float {
      let first = tile > 0 ? (Float(place) + 0.5) / 8 : 1
      let last = tile < 2 ? (Float(31 - place) + 0.5) / 8 : 1
      return (0..<32).contains(place) ? min(first, last, 1) : 0
    }
    var blended = [Float](repeating: 0, count: side * side)
    for (pixel, tile) in (0..<side * side).flatMap({ pixel in (0..<9).map { (pixel, $0) } }) {
      let (x, y) = (pixel % side - tile % 3 * 24, pixel / side - tile / 3 * 24)
      let share = weight(x, tile: tile % 3) * weight(y, tile: tile / 3)
      if share > 0 { blended[pixel] += share * tiles[tile][y * 32 + x] }
    }
    let smoother = try AnomalyMapper(
      TileGrid(perSide: 1, tileSide: side), tileMapSizes: [side, 1, 1], scales: ScoredScales("M1"))
    let expected = try smoother.map([blended, [0], [0]])
    let map = try mapper.map(maps)
    #expect(zip(map, expected).allSatisfy { abs($0 - $1) < 1e-5 })
  }

  @Test func tilesLeaveNoSeams() throws {
    // Of a map that rises evenly over the whole image every tile has its part.
    let grid = TileGrid(perSide: 4, tileSide: 64)
    let mapper = try AnomalyMapper(grid, tileMapSizes: [16, 8, 4])
    let maps = [16, 8, 4].map { size in
      (0..<16 * size * size).map { index in
        let (column, row) = (index % (4 * size), index / (4 * size))
        func place(_ index: Int) -> Float { Float(index / size * 48) + Float(index % size * 63) / Float(size - 1) }
        return (place(column) + 2 * place(row)) / 1000
      }
    }
    let map = try mapper.map(maps)
    #expect(map.count == 208 * 208)
    let inner = 20..<grid.side - 20
    for y in inner {
      #expect(inner.allSatisfy { abs(map[y * grid.side + $0] - 3 * Float($0 + 2 * y) / 1000) < 1e-5 })
    }
  }

  @Test(arguments: [(1, 32), (2, 32), (5, 64), (3, 7)])
  func tilesCoverEveryPixelOnce(perSide: Int, tileSide: Int) {
    let grid = TileGrid(perSide: perSide, tileSide: tileSide)
    for pixel in 0..<grid.side {
      let weights = grid.weights(ofPixel: pixel)
      #expect(abs(weights.reduce(0) { $0 + $1.weight } - 1) < 1e-12)
      for (tile, place, _) in weights {
        #expect(grid.origin(of: tile).x + place == pixel && (0..<tileSide).contains(place) && tile < perSide)
      }
    }
    let last = grid.origin(of: grid.count - 1)
    #expect(last.x + tileSide == grid.side && last.y + tileSide == grid.side)
  }

  @Test func scalesThatAreNotChosenAreNotRead() throws {
    let mapper = try AnomalyMapper(
      TileGrid(perSide: 1, tileSide: 32), tileMapSizes: [8, 4, 2], scales: ScoredScales("M2"))
    let map = try mapper.map([
      [Float](repeating: .nan, count: 64), [Float](repeating: 1, count: 16), [Float](repeating: .nan, count: 4),
    ])
    #expect(map.allSatisfy { abs($0 - 1) < 1e-6 })
  }

  @Test func threadsCanShareAMapper() async throws {
    let mapper = try AnomalyMapper(TileGrid(perSide: 1, tileSide: 64), tileMapSizes: [16, 8, 4])
    let inputs: [[[Float]]] = (0..<8).map { image in [256, 64, 16].map { pattern(count: $0, seed: image) } }
    let alone = try inputs.map { try mapper.map($0) }
    let together = try await withThrowingTaskGroup(of: (Int, [Float]).self) { group in
      for (index, input) in inputs.enumerated() { group.addTask { (index, try mapper.map(input)) } }
      return try await group.reduce(into: [[Float]](repeating: [], count: inputs.count)) { $0[$1.0] = $1.1 }
    }
    #expect(together == alone)
  }

  @Test func whatMakesNoSenseIsRejected() throws {
    #expect(throws: Failure.self) { _ = try AnomalyMapper(TileGrid(perSide: 1, tileSide: 32), tileMapSizes: [8, 4]) }
    #expect(throws: Failure.self) {
      _ = try AnomalyMapper(TileGrid(perSide: 1, tileSide: 32), tileMapSizes: [8, 4, 0])
    }
    for sigma in [-1, .nan, .infinity] {
      #expect(throws: Failure.self) {
        _ = try AnomalyMapper(TileGrid(perSide: 1, tileSide: 32), tileMapSizes: [8, 4, 2], sigma: sigma)
      }
    }
    let mapper = try AnomalyMapper(TileGrid(perSide: 1, tileSide: 32), tileMapSizes: [8, 4, 2])
    #expect(throws: Failure.self) { _ = try mapper.map([[1], [1], [1]]) }
    #expect(throws: Failure.self) { _ = try mapper.map([]) }
  }

  @Test(.enabled(if: ProcessInfo.processInfo.environment["RD_MEASURE"] != nil)) func timeOfAnImage() throws {
    let mapper = try AnomalyMapper(TileGrid(perSide: 1, tileSide: 256), tileMapSizes: [64, 32, 16])
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
    let failure = expectError(Failure.self) { _ = try ScoredScales(text) }
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
