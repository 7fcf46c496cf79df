import Collectives
import Diagnostics
import Distillation
import Jobs
import Metrics

/// Scores the images of a test set, each rank its share of them, and measures how well that finds the defects.
///
/// Memory holds a few images, what the pixels may take, and some numbers of each image of the set.
package struct TestScoring {
  private let images: TestImages
  private let extractor: FeatureExtractor
  private let detector: Detector
  private let communicator: any Communicator
  private let console: Console

  package init(
    _ images: TestImages, _ extractor: FeatureExtractor, _ detector: Detector, over communicator: any Communicator,
    console: Console
  ) {
    self.images = images
    self.extractor = extractor
    self.detector = detector
    self.communicator = communicator
    self.console = console
  }

  /// What a test set's scores are, and how good.
  package struct Outcome {
    /// Of all images, on every rank.
    package let findings: [ImageFinding]
    package let evaluation: Evaluation
    /// From resized pictures to scores, of this rank's images.
    package let seconds: Double
  }

  /// What the pixels' scores may take in a rank's memory where nothing else is said, in bytes.
  package static let pixelMemory = 256 << 20

  /// Collective.
  /// - Parameters:
  ///   - pixelMemory: what the pixels' scores may take in a rank's memory while they are sorted, in bytes.
  ///   - folder: where a scratch file is made for those that do not fit.
  ///   - each: called for each of this rank's images.
  /// - Throws: on all ranks the same `Failure`, that of `each` included.
  package func score(
    pixelMemory: Int = Self.pixelMemory, scratchIn folder: String,
    each: (_ image: Int, _ detection: Detection) throws -> Void = { _, _ in }
  ) throws -> Outcome {
    let pixels = try communicator.agree {
      try PixelStore(
        width: images.side, height: images.side, parts: images.parts, memory: pixelMemory, folder: folder)
    }
    let (own, seconds) = try communicator.agree { try scoreOwnImages(pixels, each) }
    let findings = try communicator.allGather(values: own)
    let metrics = try pixels.metrics(over: communicator)
    let evaluation = try communicator.agree {
      try Evaluation(
        images: findings.enumerated().map(images.result(of:_:)), kinds: images.kinds, pixels: metrics)
    }
    return Outcome(findings: findings, evaluation: evaluation, seconds: seconds)
  }

  private func scoreOwnImages(
    _ pixels: PixelStore, _ each: (_ image: Int, _ detection: Detection) throws -> Void
  ) throws -> ([ImageFinding], seconds: Double) {
    let features = FeatureBuffer(detector.architecture, images: FeatureExtractor.inputsAtATime(on: extractor.team))
    let atATime = extractor.picturesAtATime
    let (own, team) = (images.own, extractor.team)
    var findings: [ImageFinding] = []
    var seconds = 0.0
    for start in stride(from: own.lowerBound, to: own.upperBound, by: atATime) {
      let part = start..<min(start + atATime, own.upperBound)
      let sizes = try extractor.read(part.map { images.entries[$0].image.path })
      let began = ContinuousClock.now
      let detections = try detector.detect(images: part.count, through: features) {
        try extractor.extract($0, into: features)
      }
      seconds += (ContinuousClock.now - began).seconds
      for (image, detection) in zip(part, detections) {
        try detection.requireFiniteScore(of: images.entries[image].image.path)
      }
      let masks = try team.map(part.count) { try images.mask(of: start + $0) }
      findings += try team.map(part.count) {
        try ImageFinding(detections[$0], mask: masks[$0], size: sizes[$0], side: images.side)
      }
      for (image, (detection, mask)) in zip(part, zip(detections, masks)) {
        try each(image, detection)
        let kind = images.part(of: image)
        if kind == 0 || mask != nil { try pixels.add(map: detection.map, mask: mask?.pixels, part: kind) }
      }
      console.progress(findings.count, of: own.count, "image \(findings.count)/\(own.count)")
    }
    return (findings, seconds)
  }
}

extension Detection {
  /// - Throws: `Failure(.internalError)` where the score is not a number.
  package func requireFiniteScore(of picture: String) throws {
    guard !score.isFinite else { return }
    throw Failure.notFinite("\(picture): the score is \(score)")
  }
}
