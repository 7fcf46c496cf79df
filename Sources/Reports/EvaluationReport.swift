import Diagnostics
import FileSystem
import Foundation
import Imagery
import Metrics

/// What the evaluation of a checkpoint found, as a page for people: `report.html`. One file with its pictures in it.
public struct EvaluationReport: Sendable {
  /// An image that is worth being looked at.
  public struct Case: Sendable {
    let row: ScoreTable.Row
    /// JPEG files: the image, its anomaly map over it, and, where the true defect is known, its outline.
    let pictures: [[UInt8]]

    /// - Parameters:
    ///   - image: of any size.
    ///   - map: `side` x `side` anomaly values over the image.
    ///   - mask: `side` x `side`; nil where no defect is known.
    public init(
      _ row: ScoreTable.Row, image: Raster, map: [Float], side: Int, mask: [Bool]?, drawnBy style: ResultPictures
    ) throws {
      self.row = row
      var pictures = [image, try style.overlay(image: image, map: map, side: side)]
      if let mask { pictures.append(try ResultPictures.outlined(image, mask: mask, side: side)) }
      self.pictures = try pictures.map { picture in
        let longer = max(picture.width, picture.height)
        guard longer > Self.largestSide else { return try picture.encodedJPEG() }
        func scaled(_ side: Int) -> Int { max(1, side * Self.largestSide / longer) }
        return try picture.resized(width: scaled(picture.width), height: scaled(picture.height)).encodedJPEG()
      }
    }

    /// Enough for a third of a card on the page, on a fine screen as well.
    private static let largestSide = 256
  }

  public var summary: EvaluationSummary
  public var evaluation: Evaluation
  /// All images of the test set.
  public var images: [ScoreTable.Row]
  public var training: TrainingCurves
  /// Pictures of the images that `Gallery` chose, by their numbers.
  public var cases: [Int: Case]
  /// Where the numbers come from: names with what they stand for.
  public var provenance: [(name: String, value: String)]
  /// The training's, as TOML.
  public var configuration: String
  /// What was computed with what: names with what they stand for.
  public var machine: [(name: String, value: String)]

  public init(
    summary: EvaluationSummary, evaluation: Evaluation, images: [ScoreTable.Row],
    training: TrainingCurves, cases: [Int: Case], provenance: [(name: String, value: String)], configuration: String,
    machine: [(name: String, value: String)]
  ) {
    self.summary = summary
    self.evaluation = evaluation
    self.images = images
    self.training = training
    self.cases = cases
    self.provenance = provenance
    self.configuration = configuration
    self.machine = machine
  }

  /// Writes the page, which is there whole or not at all.
  /// - Throws: `Failure` of `.inputOutput`.
  public func write(to path: String) throws { try writeFile(path, bytes: Array(html.utf8)) }
}

/// How a training went, by its steps.
public struct TrainingCurves: Sendable {
  /// A measure of the test images, from 0 to 1, after some of the steps.
  public struct Measure: Sendable {
    let name: String
    let points: [CurvePoint]

    public init(name: String, points: [CurvePoint]) {
      self.name = name
      self.points = points
    }
  }

  /// Of each step.
  var losses: [Double]
  /// The loss of normal images that were not trained with, after some of the steps.
  var heldOutLoss: [CurvePoint]
  var measures: [Measure]

  public init(losses: [Double], heldOutLoss: [CurvePoint] = [], measures: [Measure] = []) {
    self.losses = losses
    self.heldOutLoss = heldOutLoss
    self.measures = measures
  }
}

/// The images of a test set that tell most about a detector, as numbers of images.
public struct Gallery: Sendable, Equatable {
  /// The anomalous images that score lowest, the lowest first.
  public let misses: [Int]
  /// The normal images that score highest, the highest first.
  public let falseAlarms: [Int]
  /// The anomalous images that score highest, but for the misses, the highest first.
  public let hits: [Int]

  public var all: Set<Int> { Set(misses + falseAlarms + hits) }

  /// - Parameter count: how many of each, at the most.
  public init(_ images: [ScoreTable.Row], count: Int = 6) {
    // Of equal scores the one that comes first.
    func highest(whereAnomalous isAnomalous: Bool) -> [Int] {
      images.indices.filter { images[$0].isAnomalous == isAnomalous }
        .sorted { (-images[$0].score, $0) < (-images[$1].score, $1) }
    }
    let anomalous = highest(whereAnomalous: true)
    // Of few images each is shown once.
    let missCount = min(count, anomalous.count - anomalous.count / 2)
    misses = anomalous.suffix(missCount).reversed()
    hits = Array(anomalous.dropLast(missCount).prefix(count))
    falseAlarms = Array(highest(whereAnomalous: false).prefix(count))
  }
}
