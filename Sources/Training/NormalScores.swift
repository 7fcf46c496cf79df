import Checkpoints
import Collectives
import Diagnostics
import Distillation
import Jobs
import Metrics
import Numerics

extension Trainer {
  /// Scores all normal images with the present student, each rank its own, and takes the statistics of all of them. Collective.
  /// - Throws: `Failure(.stoppedResumable)` where the run is to stop, and what reading the images throws.
  func measureNormalImages() throws -> NormalStatistics {
    let own = shards.flatMap { order.order(ofShard: $0, epoch: 0) }
    let capacity = FeatureExtractor.imagesAtATime
    let detections: [(score: Double, scaleMaps: [[Float]])] = try communicator.agree {
      let detector = try Detector(architecture, student: student.tensors, engine: engine, capacity: capacity)
      let features = FeatureBuffer(architecture, images: capacity)
      return try stride(from: 0, to: own.count, by: capacity).flatMap { start in
        try stopIfAsked()
        let images = Array(own[start..<min(start + capacity, own.count)])
        try source.features(images, into: features)
        console.progress(
          start + images.count, of: own.count, "scores of normal images: \(start + images.count)/\(own.count)")
        return try detector.detect(features.features, images: images.count).map { ($0.score, $0.scaleMaps) }
      }
    }
    var imageScores = [Double](repeating: 0, count: manifest.images.count)
    let images = try communicator.allGather(values: own)
    for (image, score) in zip(images, try communicator.allGather(values: detections.map(\.score))) {
      imageScores[image] = score
    }
    return NormalStatistics(
      imageScore: try ScoreStatistics(imageScores),
      scales: try (0..<3).map { scale in
        let values = try communicator.allGather(values: detections.flatMap { $0.scaleMaps[scale] })
        return try ScoreStatistics(values.lazy.map(Double.init))
      },
      imageScores: imageScores)
  }
}
