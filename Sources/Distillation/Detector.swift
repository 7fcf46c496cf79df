import CVectorKernels
import Diagnostics
import Network
import Numerics
import TensorFiles

/// What the detector finds in one image.
public struct Detection: Sendable {
  /// M1, M2, M3: one minus the cosine between teacher and student at every pixel of a scale, row by row; of several tiles, all of them side by side.
  public let scaleMaps: [[Float]]
  /// The anomaly map, as high and wide as the image or its grid of tiles, row by row.
  public let map: [Float]
  /// The image's anomaly score.
  public let score: Double
  /// What the image would add to the loss of training, but with the running statistics of the batch normalisations; of several tiles the mean.
  public let loss: Double
}

/// A trained student that compares what it rebuilds with what the teacher sees (the paper's section 3.4).
public final class Detector {
  public let architecture: Architecture
  private let student: FrozenStudent
  private let mapper: AnomalyMapper
  private let score: ImageScore
  private let team: ThreadTeam
  /// The most inputs of the network at a time.
  public let capacity: Int
  private var grid: TileGrid { mapper.grid }
  /// Height and width of anomaly maps.
  public var side: Int { mapper.side }

  /// - Parameters:
  ///   - student: as ``Student/tensors``.
  ///   - grid: the tiles of an image.
  ///   - scales: the scales whose maps are added.
  ///   - score: how an image's score comes from its map.
  ///   - activations: of a network that computes at other times.
  /// - Throws: `Failure(.badData)` that names a tensor that is missing or of another shape.
  public init(
    _ architecture: Architecture, student: some TensorSource, engine: any ConvolutionEngine, capacity: Int,
    grid: TileGrid, scales: ScoredScales = .all, score: ImageScore = .maximum, activations: ActivationMemory? = nil
  ) throws {
    self.architecture = architecture
    self.capacity = capacity
    self.score = score
    team = engine.team
    self.student = try FrozenStudent(
      architecture, tensors: student, engine: engine, capacity: capacity, activations: activations)
    precondition(grid.tileSide == architecture.model.imageSize, "a tile is an input of the network")
    mapper = try AnomalyMapper(
      grid, tileMapSizes: (1...3).map(architecture.side(ofScale:)), scales: scales)
  }

  /// Scores images, each of which is as many inputs of the network as it has tiles.
  /// - Parameters:
  ///   - features: memory for the teacher's features of some inputs.
  ///   - load: brings those of a range of inputs there, of which the first tile of the first image is number 0.
  public func detect(
    images: Int, through features: FeatureBuffer, load: (_ inputs: Range<Int>) throws -> Void
  ) throws -> [Detection] {
    var tiles: [Tile] = []
    let (count, atATime) = (images * grid.count, min(capacity, features.capacity))
    for start in stride(from: 0, to: count, by: atATime) {
      let inputs = start..<min(start + atATime, count)
      try load(inputs)
      let rebuilt = try student.forward(features.features, images: inputs.count)
      for input in 0..<inputs.count {
        let maps = try (1...3).map { try distances(features.features, rebuilt, scale: $0, input: input) }
        tiles.append(Tile(maps: maps, loss: loss(features.features, rebuilt, maps: maps, input: input)))
      }
    }
    return try (0..<images).map { image in
      let own = tiles[image * grid.count..<(image + 1) * grid.count]
      let maps = (1...3).map { scale in
        sideBySide(own.map { $0.maps[scale - 1] }, size: architecture.side(ofScale: scale))
      }
      let map = try mapper.map(maps, on: team)
      return Detection(
        scaleMaps: maps, map: map, score: score(map), loss: own.reduce(0) { $0 + $1.loss } / Double(grid.count))
    }
  }

  /// One input of the network.
  private struct Tile {
    let maps: [[Float]]
    let loss: Double
  }

  /// The maps of an image's tiles as one.
  private func sideBySide(_ maps: [[Float]], size: Int) -> [Float] {
    guard maps.count > 1 else { return maps[0] }
    var whole: [Float] = []
    whole.reserveCapacity(maps.count * size * size)
    for row in 0..<grid.perSide * size {
      let (tileRow, start) = (row / size, row % size * size)
      for map in maps[tileRow * grid.perSide..<(tileRow + 1) * grid.perSide] { whole += map[start..<start + size] }
    }
    return whole
  }

  private func loss(_ teacher: Features, _ student: Features, maps: [[Float]], input: Int) -> Double {
    (1...3).reduce(0.0) { sum, scale in
      switch architecture.model.loss {
      case .flattened:
        let size = architecture.featureCount(ofScale: scale)
        let (u, v) = (teacher.scales[scale - 1] + input * size, student.scales[scale - 1] + input * size)
        var products = (0.0, 0.0, 0.0)
        withUnsafeMutablePointer(to: &products) {
          rd_inner_products(u, v, size, UnsafeMutableRawPointer($0).assumingMemoryBound(to: Double.self))
        }
        return sum + LossFunction.distance(products: products)
      case .perPixel:
        let distances = maps[scale - 1]
        return sum + distances.reduce(0) { $0 + Double($1) } / Double(distances.count)
      }
    }
  }

  private func distances(_ teacher: Features, _ student: Features, scale: Int, input: Int) throws -> [Float] {
    let pixels = architecture.side(ofScale: scale) * architecture.side(ofScale: scale)
    let channels = architecture.channels(ofScale: scale)
    let place = input * architecture.featureCount(ofScale: scale)
    let (u, v) = (teacher.scales[scale - 1] + place, student.scales[scale - 1] + place)
    return try [Float](unsafeUninitializedCapacity: pixels) { distances, count in
      // Each item writes its own elements.
      nonisolated(unsafe) let start = distances.baseAddress!
      try team.run(team.count) { part, _ in
        let own = evenRange(part, of: team.count, count: pixels)
        let first = own.lowerBound * channels
        rd_pixel_distances(u + first, v + first, own.count, channels, LossFunction.leastNorm, start + own.lowerBound)
      }
      count = pixels
    }
  }
}
