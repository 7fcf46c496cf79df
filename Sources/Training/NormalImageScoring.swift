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
  /// - Throws: on all ranks the same `Failure`: `.stoppedResumable` where the run is to stop, `.internalError` where scores are not finite, and
  ///   what reading the images throws.
  func measureNormalImages() throws -> (statistics: NormalStatistics, loss: Double) {
    let areHeldOut = !inputs.heldOut.images.isEmpty
    let normal = areHeldOut ? inputs.heldOut : inputs.manifest
    // Features of whole images are kept where these are trained on as a whole: the tiles of others lie in several shards.
    let mayBeKept = !areHeldOut && configuration.tiles == 1
    let own =
      mayBeKept
      ? shards.flatMap { order.order(ofShard: $0, epoch: 0) }
      : Array(evenRange(communicator.rank, of: communicator.size, count: normal.images.count))
    let (extractor, atATime) = (rank.extractor, rank.extractor.picturesAtATime)
    let findings: [NormalFinding] = try communicator.agree {
      let detector = try rank.detector()
      let features = FeatureBuffer(architecture, images: FeatureExtractor.inputsAtATime(on: extractor.team))
      return try stride(from: 0, to: own.count, by: atATime).flatMap { start in
        try stopIfAsked()
        let images = Array(own[start..<min(start + atATime, own.count)])
        if !mayBeKept { try extractor.read(images.map { normal.images[$0].path }) }
        let found = try detector.detect(images: images.count, through: features) { numbers in
          if mayBeKept {
            try source.features(Array(images[numbers]), into: features)
          } else {
            try extractor.extract(numbers, into: features)
          }
        }
        console.progress(
          start + images.count, of: own.count, "scores of normal images: \(start + images.count)/\(own.count)")
        return found.map { NormalFinding($0, configuration.grid) }
      }
    }
    let odd = try communicator.allGather(values: zip(own, findings).filter { !$1.isFinite }.map(\.0)).sorted()
    guard odd.isEmpty else {
      throw Failure.notFinite(
        "step \(step): the scores of these normal images are not finite: "
          + abridged(odd.map { normal.images[$0].relativePath }),
        hint: "training has diverged, or the running averages that images are scored with lag behind it: "
          + "try a lower --learning-rate, or train on with more --epochs", isOnAllRanks: true)
    }
    let images = try communicator.allGather(values: own)
    func ordered(_ value: KeyPath<NormalFinding, Double>) throws -> [Double] {
      var values = [Double](repeating: 0, count: normal.images.count)
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
    return (statistics, try ordered(\.loss).reduce(0, +) / Double(normal.images.count))
  }
}

/// What is kept of a normal image.
private struct NormalFinding {
  let score: Double
  let loss: Double
  /// Of images in N x N tiles, every Nth value of every Nth row: as many as one tile has.
  let scaleMaps: [[Float]]
  /// Of the smooth map, every (4 N)th pixel of every (4 N)th row.
  let mapSample: [Float]

  init(_ detection: Detection, _ grid: TileGrid) {
    score = detection.score
    loss = detection.loss
    scaleMaps = detection.scaleMaps.map { map in
      sample(map, side: Int(Double(map.count).squareRoot()), every: grid.perSide)
    }
    mapSample = sample(detection.map, side: grid.side, every: 4 * grid.perSide)
  }

  var isFinite: Bool {
    score.isFinite && loss.isFinite && (scaleMaps + [mapSample]).allSatisfy { $0.allSatisfy(\.isFinite) }
  }
}

private func sample(_ map: [Float], side: Int, every step: Int) -> [Float] {
  stride(from: 0, to: side, by: step).flatMap { row in
    stride(from: 0, to: side, by: step).map { map[row * side + $0] }
  }
}
