import Collectives
import Diagnostics
import Distillation
import FileSystem
import Foundation
import Imagery
import Jobs
import Metrics
import Numerics
import Reports
import Scoring

/// What a prediction is told.
public struct PredictionOptions: Sendable {
  public var detector: DetectorOptions
  public var threshold: ThresholdChoice
  /// How far a region goes: to values of at least this; nil for what one in a thousand pixels of normal images reaches.
  public var pixelThreshold: Double?
  /// Where the pictures with heat maps go; nil for none.
  public var output: String?
  public var format: PredictionFormat

  public init(
    _ detector: DetectorOptions, threshold: ThresholdChoice = .falseAlarmRate(0.01), pixelThreshold: Double? = nil,
    output: String? = nil, format: PredictionFormat = .csv
  ) {
    self.detector = detector
    self.threshold = threshold
    self.pixelThreshold = pixelThreshold
    self.output = output
    self.format = format
  }
}

/// Judges pictures one after the other with a checkpoint, each rank its share of those at hand: any number of them, in the memory of a few.
public final class Predictor {
  /// How many pictures were judged.
  public struct Counts: Sendable {
    public fileprivate(set) var pictures = 0
    public fileprivate(set) var anomalous = 0
    public fileprivate(set) var unreadable = 0
  }

  private let options: PredictionOptions
  private let communicator: any Communicator
  private let console: Console
  private let trained: TrainedDetector
  private let normals: KnownNormals
  private let threshold: DecisionThreshold
  /// Pixels of regions have at least that.
  private let extent: Double
  private let pictures: ResultPictures
  private let features: FeatureBuffer
  private var side: Int { trained.side }

  /// Collective.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  public init(_ options: PredictionOptions, over communicator: any Communicator, console: Console) throws {
    self.options = options
    self.communicator = communicator
    self.console = console
    let trained = try TrainedDetector(options.detector, over: communicator, console: console)
    self.trained = trained
    (normals, threshold) = try communicator.agree {
      let normals = try KnownNormals(trained, options.detector)
      return (normals, try normals.requireThreshold(options.threshold))
    }
    // A threshold for sums is spread over the pixels.
    let isMaximum = options.detector.score == .maximum
    let perPixel = threshold.value / (isMaximum ? 1 : Double(trained.side * trained.side))
    let known = options.pixelThreshold ?? normals.pixelThreshold(options.detector.scales) ?? perPixel
    extent = isMaximum ? min(known, perPixel) : known
    // Where no normal images are known, the threshold is in the middle of the scale.
    let scale = try normals.heatMapScale(options.detector.scales, lowest: 0, highest: max(2 * perPixel, 0))
    pictures = ResultPictures(scale: scale)
    features = FeatureBuffer(
      trained.detector.architecture, images: FeatureExtractor.inputsAtATime(on: trained.extractor.team))
    console.say(threshold.description)
    (threshold.warnings + normals.warnings).forEach { console.warn("\($0)") }
  }

  /// Judges pictures. A picture that cannot be read is named and does not stop the others. Collective.
  /// - Parameters:
  ///   - arguments: files, folders, and `-` for a list of these on standard input.
  ///   - write: takes the lines of output, on rank 0, in the order of the pictures.
  /// - Returns: the same on every rank.
  /// - Throws: on all ranks the same `Failure`, that of `write` included.
  public func predict(_ arguments: [String], write: (String) throws -> Void) throws -> Counts {
    var counts = Counts()
    var queue = PictureQueue(communicator.rank == 0 ? arguments : [])
    try communicator.agree { if communicator.rank == 0 { try write(options.format.header) } }
    while true {
      let wanted = try communicator.agree {
        let entries = try queue.next(trained.extractor.picturesAtATime * communicator.size)
        try entries.forEach(requireAnotherFolder)
        return entries
      }
      let entries = try communicator.allGather(coded: communicator.rank == 0 ? wanted : [])
      if entries.isEmpty { break }
      let share = evenRange(communicator.rank, of: communicator.size, count: entries.count)
      let predictions = try communicator.allGather(coded: communicator.agree { try judge(Array(entries[share])) })
      counts.pictures += predictions.count
      counts.anomalous += predictions.count { $0.verdict == .anomalous }
      counts.unreadable += predictions.count { $0.verdict == nil }
      for error in predictions.compactMap(\.error) { console.error(error) }
      try communicator.agree {
        if communicator.rank == 0 { try write(predictions.map(options.format.line).joined()) }
      }
      console.progress(counts.pictures, of: nil, "\(counts.pictures) images, \(counts.anomalous) anomalous")
    }
    return counts
  }

  /// A picture is not replaced by its own result, nor by that of one beside it.
  private func requireAnotherFolder(_ entry: PictureQueue.Entry) throws {
    guard let path = overlay(of: entry), isSameFile(folder(of: path), folder(of: entry.path)) else { return }
    throw Failure(
      .configuration, "\(entry.path): the picture of its heat map, \(path), would lie beside it",
      hint: "name another folder with --output: there it could take the place of one of yours")
  }

  private func overlay(of entry: PictureQueue.Entry) -> String? { options.output.map { "\($0)/\(entry.name)" } }

  private func judge(_ entries: [PictureQueue.Entry]) throws -> [Prediction] {
    let decoded = try trained.team.map(entries.count) { index in
      Result {
        if let problem = entries[index].problem { throw Failure(.badData, problem) }
        return try ImageFile.decode(entries[index].path)
      }
    }
    let readable = entries.indices.filter { (try? decoded[$0].get()) != nil }
    let rasters = try readable.map { try decoded[$0].get() }
    try trained.extractor.take(rasters, from: readable.map { entries[$0].path })
    let detections = try trained.detector.detect(images: rasters.count, through: features) {
      try trained.extractor.extract($0, into: features)
    }
    var predictions = entries.indices.map { index in
      var prediction = Prediction(entries[index].path)
      if case .failure(let error) = decoded[index] { prediction.error = "\(error)" }
      return prediction
    }
    let judged = try trained.team.map(rasters.count) { [self] index in
      try prediction(entries[readable[index]], rasters[index], detections[index])
    }
    for (index, prediction) in zip(readable, judged) { predictions[index] = prediction }
    return predictions
  }

  private func prediction(
    _ entry: PictureQueue.Entry, _ picture: Raster, _ detection: Detection
  ) throws -> Prediction {
    try detection.requireFiniteScore(of: entry.path)
    let isAnomalous = threshold.isReached(by: detection.score)
    // In a normal image nothing reaches the peak, but a score that is not a peak has regions of its own.
    let peak = options.detector.score == .maximum ? threshold.value : extent
    let (regions, mask) = try AnomalousRegion.find(
      in: detection.map, width: side, height: side, peak: isAnomalous ? peak : .infinity, extent: extent)
    var prediction = Prediction(entry.path)
    prediction.verdict = Verdict(isAnomalous)
    prediction.score = detection.score
    prediction.pValue = normals.scores?.pValue(of: detection.score)
    prediction.regions = regions.map {
      Prediction.Region($0, side: side, width: picture.width, height: picture.height, fit: trained.fit)
    }
    if let path = overlay(of: entry) {
      try makeFolder(folder(of: path))
      try pictures.verdict(
        image: trained.fit.whole(picture), map: detection.map, side: side, regions: mask, extent: extent,
        isAnomalous: isAnomalous
      )
      .writePNG(to: path)
      prediction.overlay = path
    }
    return prediction
  }
}
