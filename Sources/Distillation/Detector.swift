import CVectorKernels
import Diagnostics
import Numerics
import TensorFiles

/// What the detector finds in one image.
public struct Detection: Sendable {
  /// M1, M2, M3: one minus the cosine between teacher and student at every pixel of a scale, row by row.
  public let scaleMaps: [[Float]]
  /// The anomaly map, image size x image size, row by row.
  public let map: [Float]
  /// The image's anomaly score.
  public let score: Double
  /// What the image would add to the loss of training, but with the running statistics of the batch normalisations.
  public let loss: Double
}

/// A trained student that compares what it rebuilds with what the teacher sees (the paper's section 3.4).
public final class Detector {
  public let architecture: Architecture
  private let student: FrozenStudent
  private let mapper: AnomalyMapper
  private let score: ImageScore
  private let team: ThreadTeam
  /// The most images at a time.
  public let capacity: Int

  /// - Parameters:
  ///   - student: as ``Student/tensors``.
  ///   - scales: the scales whose maps are added.
  ///   - score: how an image's score comes from its map.
  /// - Throws: `Failure(.badData)` that names a tensor that is missing or of another shape.
  public init(
    _ architecture: Architecture, student: some TensorSource, engine: any ConvolutionEngine, capacity: Int,
    scales: ScoredScales = .all, score: ImageScore = .maximum
  ) throws {
    self.architecture = architecture
    self.capacity = capacity
    self.score = score
    team = engine.team
    self.student = try FrozenStudent(architecture, tensors: student, engine: engine, capacity: capacity)
    mapper = try AnomalyMapper(
      imageSize: architecture.model.imageSize, mapSizes: (1...3).map(architecture.side(ofScale:)), scales: scales)
  }

  /// - Parameter features: the teacher's, of at most `capacity` images.
  public func detect(_ features: Features, images: Int) throws -> [Detection] {
    let rebuilt = try student.forward(features, images: images)
    return try (0..<images).map { image in
      let maps = try (1...3).map { try distances(features, rebuilt, scale: $0, image: image) }
      let map = try mapper.map(maps, on: team)
      return Detection(
        scaleMaps: maps, map: map, score: score(map), loss: loss(features, rebuilt, maps: maps, image: image))
    }
  }

  private func loss(_ teacher: Features, _ student: Features, maps: [[Float]], image: Int) -> Double {
    (1...3).reduce(0.0) { sum, scale in
      switch architecture.model.loss {
      case .flattened:
        let size = architecture.featureCount(ofScale: scale)
        let (u, v) = (teacher.scales[scale - 1] + image * size, student.scales[scale - 1] + image * size)
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

  private func distances(_ teacher: Features, _ student: Features, scale: Int, image: Int) throws -> [Float] {
    let pixels = architecture.side(ofScale: scale) * architecture.side(ofScale: scale)
    let channels = architecture.channels(ofScale: scale)
    let place = image * architecture.featureCount(ofScale: scale)
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
