import Checkpoints
import Collectives
import Diagnostics
import Distillation
import Jobs
import Metrics
import Numerics
import Scoring

extension Trainer {
  /// Scores normal images with the present student, each rank its share of those held out, or its own of the training where none are, and
  /// takes the statistics of all of them. Collective.
  /// - Returns: the statistics, and the mean loss of the images.
  /// - Throws: `Failure(.stoppedResumable)` where the run is to stop, and what reading the images throws.
  func measureNormalImages() throws -> (statistics: NormalStatistics, loss: Double) {
    let areHeldOut = !inputs.heldOut.images.isEmpty
    let source = areHeldOut ? heldOut : source
    let count = areHeldOut ? inputs.heldOut.images.count : inputs.manifest.images.count
    let tiles = configuration.grid.count
    // An image of one tile is in a shard, and its features may be kept. The tiles of others lie in several.
    let own =
      areHeldOut || tiles > 1
      ? Array(evenRange(communicator.rank, of: communicator.size, count: count))
      : shards.flatMap { order.order(ofShard: $0, epoch: 0) }
    let atATime = rank.extractor.picturesAtATime
    let findings: [NormalFinding] = try communicator.agree {
      let capacity = FeatureExtractor.inputsAtATime
      let detector = try Detector(
        architecture, student: student.tensors, engine: engine, capacity: capacity, tilesPerSide: configuration.tiles)
      let features = FeatureBuffer(architecture, images: capacity)
      return try stride(from: 0, to: own.count, by: atATime).flatMap { start in
        try stopIfAsked()
        let images = own[start..<min(start + atATime, own.count)]
        let inputs = images.flatMap { $0 * tiles..<($0 + 1) * tiles }
        let found = try detector.detect(images: images.count, through: features) {
          try source.features(Array(inputs[$0]), into: features)
        }
        console.progress(
          start + images.count, of: own.count, "scores of normal images: \(start + images.count)/\(own.count)")
        return found.map { NormalFinding($0, side: detector.side) }
      }
    }
    let images = try communicator.allGather(values: own)
    func ordered(_ value: KeyPath<NormalFinding, Double>) throws -> [Double] {
      var values = [Double](repeating: 0, count: count)
      for (image, own) in zip(images, try communicator.allGather(values: findings.map { $0[keyPath: value] })) {
        values[image] = own
      }
      return values
    }
    func statistics(_ values: (NormalFinding) -> [Float]) throws -> ScoreStatistics {
      try ScoreStatistics(communicator.allGather(values: findings.flatMap(values)).lazy.map(Double.init))
    }
    let scores = try ordered(\.score)
    let statistics = NormalStatistics(
      imageScore: try ScoreStatistics(scores),
      scales: try (0..<3).map { scale in try statistics { $0.scaleMaps[scale] } },
      map: try statistics(\.mapSample), imageScores: scores, areHeldOut: areHeldOut)
    return (statistics, try ordered(\.loss).reduce(0, +) / Double(count))
  }
}

/// What is kept of a normal image.
private struct NormalFinding {
  let score: Double
  let loss: Double
  let scaleMaps: [[Float]]
  /// Every fourth pixel of every fourth row of the smooth map: as many as at the finest scale.
  let mapSample: [Float]

  init(_ detection: Detection, side: Int) {
    score = detection.score
    loss = detection.loss
    scaleMaps = detection.scaleMaps
    mapSample = stride(from: 0, to: side, by: 4).flatMap { row in
      stride(from: 0, to: side, by: 4).map { detection.map[row * side + $0] }
    }
  }
}
