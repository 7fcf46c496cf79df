import Diagnostics
import Glibc
import Numerics

/// Makes the anomaly map of an image from the maps M1, M2, M3 of the scales: the chosen ones are brought to the image's
/// size (bilinear, corners aligned) and added, and the sum is smoothed with a Gaussian. Of an image in several tiles, the maps of each are
/// brought to the tile's size and blended where tiles overlap; the sum is smoothed as a whole.
///
/// All of it is linear and separable. Upsampling, blending and smoothing of one axis make a matrix A_k of `side` rows and as
/// many columns as map k has, so the map is the sum of A_k M_k A_k^T. A row of A_k is zero but for the columns within
/// the Gaussian's reach, which are all that is kept of it.
///
/// Computed in double precision in one fixed order: the result is the same on every processor.
/// Source: H. Deng, X. Li, CVPR 2022, section 3.4; the smoothing is SciPy's `gaussian_filter` (mode 'reflect', cut off at
/// 4 sigma).
public final class AnomalyMapper: Sendable {
  /// The tiles of an image, which may be one.
  public let grid: TileGrid
  /// Height and width of the result.
  public var side: Int { grid.side }
  /// Height and width of M1, M2 and M3: those of all tiles side by side.
  public let mapSizes: [Int]
  public let scales: ScoredScales
  /// Standard deviation of the Gaussian in pixels of the result; 0 for no smoothing.
  public let sigma: Double

  /// One axis' way from a map to the smoothed result, for each chosen scale.
  private let axes: [Axis]

  /// - Parameters:
  ///   - grid: the tiles of an image.
  ///   - mapSizes: heights (and widths) of M1, M2 and M3 of one tile.
  /// - Throws: `Failure` of `.usage` for sizes below 1, for other than three maps, and for a sigma that is negative or
  ///   not finite.
  public init(_ grid: TileGrid, mapSizes: [Int], scales: ScoredScales = .all, sigma: Double = 4) throws {
    guard mapSizes.count == Scale.allCases.count, mapSizes.allSatisfy({ $0 >= 1 }) else {
      throw Failure(.usage, "anomaly map: maps of sizes \(mapSizes) cannot be brought to \(grid.tileSide) pixels")
    }
    guard (0...1000).contains(sigma) else {
      throw Failure(
        .usage, "anomaly map: sigma = \(sigma)", hint: "choose 0 (no smoothing) to 1000 pixels; the paper's is 4")
    }
    self.grid = grid
    self.mapSizes = mapSizes.map { $0 * grid.perSide }
    self.scales = scales
    self.sigma = sigma
    let kernel = gaussianKernel(sigma: sigma)
    axes = scales.scales.map { Axis(scale: $0, mapSize: mapSizes[$0.rawValue - 1], of: grid, kernel: kernel) }
  }

  /// A_k of scale `k`, row by row, in single precision; it must be one of those chosen.
  package func matrix(ofScale k: Int) -> [Float] {
    guard let axis = axes.first(where: { $0.scale.rawValue == k }) else {
      preconditionFailure("scale \(k) is not chosen")
    }
    return axis.matrix
  }

  /// Makes one image's anomaly map.
  /// - Parameters:
  ///   - scaleMaps: M1, M2, M3 of `mapSizes`, row by row. Those of scales that are not chosen are not used.
  ///   - team: the threads that share the work.
  /// - Returns: `side` x `side` values, row by row.
  /// - Throws: `Failure` of `.badData` for maps of other sizes.
  public func map(_ scaleMaps: [[Float]], on team: ThreadTeam = ThreadTeam(count: 1)) throws -> [Float] {
    guard scaleMaps.map(\.count) == mapSizes.map({ $0 * $0 }) else {
      throw Failure(
        .badData, "anomaly map: scale maps of \(scaleMaps.map(\.count)) values, expected are \(mapSizes) in square")
    }
    let size = side
    // M_k A_k^T of all chosen scales, one under the other; then a row of the result for each thread.
    let rows = axes.reduce(0) { $0 + $1.mapSize }
    let storage = UnsafeMutablePointer<Double>.allocate(capacity: (rows + team.count) * size)
    defer { storage.deallocate() }
    var start = storage
    for axis in axes {
      let target = start
      try scaleMaps[axis.scale.rawValue - 1].withUnsafeBufferPointer { map in
        let map = map.baseAddress!
        try team.run(team.count) { part, _ in
          for y in evenRange(part, of: team.count, count: axis.mapSize) {
            axis.stretch(map + y * axis.mapSize, into: target + y * size)
          }
        }
      }
      start += axis.mapSize * size
    }
    return try [Float](unsafeUninitializedCapacity: size * size) { result, count in
      // Each item writes its own lines.
      nonisolated(unsafe) let result = result
      try team.run(team.count) { part, _ in
        let row = storage + (rows + part) * size
        for y in evenRange(part, of: team.count, count: size) {
          row.update(repeating: 0, count: size)
          var rowsOfScale = storage
          for axis in axes {
            axis.addRow(y, of: rowsOfScale, to: row)
            rowsOfScale += axis.mapSize * size
          }
          for x in 0..<size { result[y * size + x] = Float(row[x]) }
        }
      }
      count = size * size
    }
  }
}

/// The non-zero part of A_k. The result's pixel i is the sum of `weights[i * reach + j]` times the map's pixel
/// `starts[i] + j`.
private struct Axis: Sendable {
  let scale: Scale
  /// Of the maps of all tiles side by side.
  let mapSize: Int
  let imageSize: Int
  /// Weights a row, the same number for all: rows that need fewer have zeros.
  let reach: Int
  let starts: [Int]
  let weights: [Double]

  /// - Parameter tileMapSize: of one tile's map.
  init(scale: Scale, mapSize tileMapSize: Int, of grid: TileGrid, kernel: [Double]) {
    let (mapSize, imageSize, tileSide) = (tileMapSize * grid.perSide, grid.side, grid.tileSide)
    self.scale = scale
    self.mapSize = mapSize
    self.imageSize = imageSize
    let radius = kernel.count / 2
    let rows = (0..<imageSize).map { i in
      var row = [Double](repeating: 0, count: mapSize)
      for (tap, weight) in kernel.enumerated() {
        for (tile, place, part) in grid.shares(ofPixel: reflected(i + tap - radius, count: imageSize)) {
          let position = tileSide == 1 ? 0 : Double(place * (tileMapSize - 1)) / Double(tileSide - 1)
          let lower = Int(position)
          let share = position - Double(lower)
          row[tile * tileMapSize + lower] += weight * part * (1 - share)
          if share > 0 { row[tile * tileMapSize + lower + 1] += weight * part * share }
        }
      }
      return row
    }
    let ranges = rows.map { row in
      (row.firstIndex { $0 != 0 } ?? 0)..<((row.lastIndex { $0 != 0 } ?? 0) + 1)
    }
    let reach = ranges.map(\.count).max() ?? 1
    let starts = ranges.map { min($0.lowerBound, mapSize - reach) }
    self.reach = reach
    self.starts = starts
    weights = zip(rows, starts).flatMap { row, start in row[start..<start + reach] }
  }

  /// All of A_k.
  var matrix: [Float] {
    var matrix = [Float](repeating: 0, count: imageSize * mapSize)
    for i in 0..<imageSize {
      for j in 0..<reach { matrix[i * mapSize + starts[i] + j] = Float(weights[i * reach + j]) }
    }
    return matrix
  }

  /// A map's row, brought to the result's width.
  func stretch(_ line: UnsafePointer<Float>, into result: UnsafeMutablePointer<Double>) {
    weights.withUnsafeBufferPointer { weights in
      starts.withUnsafeBufferPointer { starts in
        for x in 0..<imageSize {
          let pixels = line + starts[x]
          let weights = weights.baseAddress! + x * reach
          var sum = 0.0
          for j in 0..<reach { sum += weights[j] * Double(pixels[j]) }
          result[x] = sum
        }
      }
    }
  }

  /// Adds what stretched rows of the map contribute to row `y` of the result.
  func addRow(_ y: Int, of rows: UnsafePointer<Double>, to result: UnsafeMutablePointer<Double>) {
    weights.withUnsafeBufferPointer { weights in
      for j in 0..<reach {
        let weight = weights[y * reach + j]
        let row = rows + (starts[y] + j) * imageSize
        for x in 0..<imageSize { result[x] += weight * row[x] }
      }
    }
  }
}

/// The weights of SciPy's `gaussian_filter1d`, which sum to 1.
private func gaussianKernel(sigma: Double) -> [Double] {
  guard sigma > 0 else { return [1] }
  let radius = Int(4 * sigma + 0.5)
  let weights = (-radius...radius).map { exp(-Double($0 * $0) / (2 * sigma * sigma)) }
  let sum = weights.reduce(0, +)
  return weights.map { $0 / sum }
}

/// The pixel that stands at `index` of a row continued by reflection about its outer edges, as often as it takes:
/// d c b a | a b c d | d c b a.
private func reflected(_ index: Int, count: Int) -> Int {
  let period = 2 * count
  let place = ((index % period) + period) % period
  return place < count ? place : period - 1 - place
}
