import ArgumentParser
import Diagnostics
import Distillation
import Evaluation
import Imagery
import Jobs
import Metrics
import Training

/// What all that scores images is told.
struct DetectorArguments: ParsableArguments {
  @Argument(
    help: """
      The folder that rd-train wrote to, whose newest valid checkpoint is taken, or a checkpoint.
      """)
  var checkpoint: String

  @Option(
    help: ArgumentHelp("the teacher's weights, where the checkpoint holds only their hash", valueName: "file"),
    completion: .file())
  var teacher: String?

  @Option(
    help: ArgumentHelp(
      "the scales whose maps are added: \(ScoredScales.accepted.joined(separator: ", "))", valueName: "scales"))
  var scales = "M1+M2+M3"

  @Option(
    help: ArgumentHelp("an image's score: the largest value of its map (max), or the sum (sum)", valueName: "name"))
  var score = "max"

  @Option(help: ArgumentHelp("what computes the convolutions: vector or openblas", valueName: "name"))
  var engine = "vector"

  @Option(help: ArgumentHelp("what its factors are rounded to: fp32 or bf16", valueName: "name"))
  var precision = "fp32"

  @Option(
    help: ArgumentHelp(
      "threads of a rank (default: the allowed cores, divided by the ranks that share them)", valueName: "n"))
  var threads: Int?

  @Flag var verbosity: Verbosity?

  /// - Throws: `Failure(.usage)`.
  func options() throws -> DetectorOptions {
    if let threads, !(1...1024).contains(threads) {
      throw Failure(.usage, "--threads \(threads): must be from 1 to 1024")
    }
    return DetectorOptions(
      checkpoint: checkpoint, teacher: teacher, scales: try ScoredScales(scales),
      score: try word(score, for: "--score"),
      engine: try word(engine, for: "--engine"), precision: try word(precision, for: "--precision"), threads: threads)
  }
}

/// What is tested with.
struct DataSetArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp("folder of the data set, or its table (docs/data.md)", valueName: "folder"),
    completion: .directory)
  var data: String?

  @Option(
    help: ArgumentHelp(
      "how the files of the data set lie: \(DataSet.Layout.allCases.map(\.rawValue).joined(separator: ", ")) (default: found out)",
      valueName: "name"))
  var layout: String?

  @Option(
    help: ArgumentHelp(
      "instead of --data: folder of normal images, of which every fifth is tested with", valueName: "folder"),
    completion: .directory)
  var normal: String?

  @Option(
    help: ArgumentHelp("with --normal: folder of anomalous images, or of one for each kind", valueName: "folder"),
    completion: .directory)
  var anomalous: String?

  @Option(
    help: ArgumentHelp("with --anomalous: folder of masks of the same names", valueName: "folder"),
    completion: .directory)
  var masks: String?

  /// What it is called in reports.
  var name: String { data ?? [normal, anomalous].compactMap(\.self).joined(separator: ", ") }

  /// - Throws: `Failure(.usage)`.
  func dataSet() throws -> DataSet {
    switch (data, normal, anomalous) {
    case (let data?, nil, nil) where masks == nil:
      return DataSet(data, layout: try layout.map { try word($0, for: "--layout") })
    case (nil, let normal?, let anomalous?) where layout == nil:
      return DataSet(normal: normal, anomalous: anomalous, masks: masks)
    default:
      throw Failure(
        .usage, "what to test with is not clear",
        hint: "give --data DIR [--layout NAME], or --normal DIR --anomalous DIR [--masks DIR]")
    }
  }
}

/// How a threshold is found without labels.
struct ThresholdArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "share of normal images that may be called anomalous: the threshold comes from the scores of normal images in the checkpoint (default: 0.01)",
      valueName: "rate"))
  var falseAlarmRate: Double?

  @Option(help: ArgumentHelp("the score from which on an image is anomalous", valueName: "score"))
  var threshold: Double?

  /// - Throws: `Failure(.usage)`.
  func choice() throws -> ThresholdChoice {
    if let rate = falseAlarmRate, !(rate > 0 && rate < 1) {
      throw Failure(.usage, "--false-alarm-rate \(rate): must be a number above 0 and below 1")
    }
    if let threshold, !threshold.isFinite { throw Failure(.usage, "--threshold \(threshold): must be a number") }
    switch (falseAlarmRate, threshold) {
    case (.some, .some): throw Failure(.usage, "--false-alarm-rate and --threshold: give one of them")
    case (_, .some(let threshold)): return .given(threshold)
    case (let rate, nil): return .falseAlarmRate(rate ?? 0.01)
    }
  }
}
