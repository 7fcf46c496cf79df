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
    var detections = [Detection?](repeating: nil, count: images)
    try detections.withUnsafeMutableBufferPointer { detections in
      // Each item writes its own element.
      nonisolated(unsafe) let results = detections
      try team.run(images) { image, _ in
        let maps = (1...3).map { distances(features, rebuilt, scale: $0, image: image) }
        let map = try mapper.map(maps)
        results[image] = Detection(scaleMaps: maps, map: map, score: score(map))
      }
    }
    return detections.compactMap { $0 }
  }

  private func distances(_ teacher: Features, _ student: Features, scale: Int, image: Int) -> [Float] {
    let pixels = architecture.side(ofScale: scale) * architecture.side(ofScale: scale)
    let place = image * architecture.featureCount(ofScale: scale)
    return [Float](unsafeUninitializedCapacity: pixels) { distances, count in
      if let start = distances.baseAddress {
        rd_pixel_distances(
          teacher.scales[scale - 1] + place, student.scales[scale - 1] + place, pixels,
          architecture.channels(ofScale: scale), LossFunction.leastNorm, start)
      }
      count = pixels
    }
  }
}
