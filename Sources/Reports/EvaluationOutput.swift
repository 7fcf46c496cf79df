import Diagnostics
import FileSystem
import Metrics

/// What the evaluation of a checkpoint found, as the file `metrics.json` says it.
public struct EvaluationSummary: Encodable, Sendable {
  public struct ImageCounts: Encodable, Sendable, Equatable {
    public var normal: Int
    public var anomalous: Int

    public init(normal: Int, anomalous: Int) {
      self.normal = normal
      self.anomalous = anomalous
    }
  }

  /// The data set's category; nil where the folder is a single one.
  public var category: String?
  /// The name of the checkpoint's file.
  public var checkpoint: String
  /// Optimizer steps that the checkpoint had seen; nil for weights from elsewhere.
  public var step: Int?
  /// The measures of the whole test set. They stand at the top level of the file.
  public var metrics: DetectionMetrics
  /// The measures of each kind of defect against all normal images.
  public var perDefect: [String: DetectionMetrics]
  public var images: ImageCounts
  /// The scored scales, such as "M1+M2+M3".
  public var scales: String
  /// How a map became its image's score: "max" or "sum".
  public var score: String
  /// From the normalised picture to the score; nil where it was not measured.
  public var inferenceSecondsPerImage: Double?
  public var peakMemoryBytes: Int?
  /// What a threshold makes of the test set; nil where there is none.
  public var verdicts: VerdictSummary?
  /// What makes the numbers less than they seem: defects that vanished in resizing, anomalous images without a mask.
  public var warnings: [String]

  public init(
    category: String?, checkpoint: String, step: Int?, evaluation: Evaluation, images: ImageCounts, scales: String,
    score: String, inferenceSecondsPerImage: Double? = nil, peakMemoryBytes: Int? = nil,
    verdicts: VerdictSummary? = nil, warnings: [String] = []
  ) {
    self.category = category
    self.checkpoint = checkpoint
    self.step = step
    metrics = evaluation.overall
    perDefect = evaluation.byDefect
    self.images = images
    self.scales = scales
    self.score = score
    self.inferenceSecondsPerImage = inferenceSecondsPerImage
    self.peakMemoryBytes = peakMemoryBytes
    self.verdicts = verdicts
    self.warnings = warnings
  }

  private enum CodingKeys: String, CodingKey {
    case category, checkpoint, step, images, scales, score, verdicts, warnings
    case perDefect = "per_defect"
    case inferenceSecondsPerImage = "inference_seconds_per_image"
    case peakMemoryBytes = "peak_memory_bytes"
  }

  /// Writes what is nil, as null.
  public func encode(to encoder: any Encoder) throws {
    try metrics.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(category, forKey: .category)
    try container.encode(checkpoint, forKey: .checkpoint)
    try container.encode(step, forKey: .step)
    try container.encode(perDefect, forKey: .perDefect)
    try container.encode(images, forKey: .images)
    try container.encode(scales, forKey: .scales)
    try container.encode(score, forKey: .score)
    try container.encode(inferenceSecondsPerImage, forKey: .inferenceSecondsPerImage)
    try container.encode(peakMemoryBytes, forKey: .peakMemoryBytes)
    try container.encode(verdicts, forKey: .verdicts)
    try container.encode(warnings, forKey: .warnings)
  }

  /// Writes the summary as JSON, indented and with sorted keys. The file is there whole or not at all.
  /// - Throws: `Failure` of `.inputOutput` where it cannot be written, of `.internalError` for a number that is not
  ///   finite.
  public func write(to path: String) throws {
    try writeJSON(self, to: path)
  }
}

/// What a threshold makes of an image.
public enum Verdict: String, Codable, Sendable {
  case normal, anomalous

  public init(_ isAnomalous: Bool) { self = isAnomalous ? .anomalous : .normal }
}

/// The scores of a test set, one image a line, as the file `scores.csv` says them.
public enum ScoreTable {
  public struct Row: Sendable, Equatable {
    /// The image's path from the root of the data set.
    public var path: String
    /// The name of its folder: "good" or a kind of defect.
    public var kind: String
    public var isAnomalous: Bool
    public var score: Double
    /// The largest values of M1, M2 and M3 before they are brought to the image's size; nil where a scale was not
    /// computed.
    public var scaleMaxima: [Double?]
    /// Nil where there is no threshold.
    public var verdict: Verdict?
    /// The probability that a normal image scores as high; nil where that is not known.
    public var pValue: Double?

    public init(
      path: String, kind: String, isAnomalous: Bool, score: Double, scaleMaxima: [Double?], verdict: Verdict? = nil,
      pValue: Double? = nil
    ) {
      precondition(scaleMaxima.count == 3, "\(scaleMaxima.count) scales")
      self.path = path
      self.kind = kind
      self.isAnomalous = isAnomalous
      self.score = score
      self.scaleMaxima = scaleMaxima
      self.verdict = verdict
      self.pValue = pValue
    }
  }

  /// A verdict that the test labels had a part in says so.
  static func header(_ threshold: DecisionThreshold.Source?) -> [String] {
    let verdict = threshold == .f1OfTestLabels ? "verdict_by_f1_of_test_labels" : "verdict"
    return ["path", "label", "anomalous", "score", "max_m1", "max_m2", "max_m3", verdict, "p_value"]
  }

  /// Writes the table in the rows' order, quoted as RFC 4180 asks, lines ending in LF. Numbers have all their digits:
  /// reading one back gives the same one. The file is there whole or not at all.
  /// - Throws: `Failure` of `.inputOutput` where it cannot be written, of `.internalError` for a number that is not
  ///   finite.
  public static func write(_ rows: [Row], threshold: DecisionThreshold.Source? = nil, to path: String) throws {
    var text = header(threshold).joined(separator: ",") + "\n"
    for row in rows {
      for number in [row.score] + row.scaleMaxima.compactMap({ $0 }) where !number.isFinite {
        throw Failure.notFinite("\(path): a score of \(row.path) is \(number)")
      }
      func written(_ number: Double?) -> String { number.map { "\($0)" } ?? "" }
      var fields = [csvField(row.path), csvField(row.kind), row.isAnomalous ? "1" : "0", written(row.score)]
      fields += row.scaleMaxima.map(written)
      fields += [row.verdict?.rawValue ?? "", written(row.pValue)]
      text += fields.joined(separator: ",") + "\n"
    }
    try writeFile(path, bytes: Array(text.utf8))
  }

  /// Reads the table back. Columns may come in any order, and there may be others.
  /// - Throws: `Failure` of `.badData` where the file is missing or damaged, of `.inputOutput` where it cannot be read.
  public static func read(from path: String) throws -> [Row] {
    guard let text = String(validating: try readFile(path), as: UTF8.self) else {
      throw Failure(.badData, "\(path): text that is not UTF-8")
    }
    let records = try csvRecords(text, path: path)
    let header = header(nil)
    let columns = try header.prefix(4).map { name in
      guard let column = records.first?.firstIndex(of: name) else {
        throw Failure(.badData, "\(path): has no column \(name)", hint: "expected is a table that rd-eval wrote")
      }
      return column
    }
    return try records.dropFirst().enumerated().map { index, record in
      guard record.count == records[0].count, let score = Double(record[columns[3]]), score.isFinite,
        ["0", "1"].contains(record[columns[2]])
      else { throw Failure(.badData, "\(path): record \(index + 2) is damaged", hint: "run rd-eval again") }
      return Row(
        path: record[columns[0]], kind: record[columns[1]], isAnomalous: record[columns[2]] == "1", score: score,
        scaleMaxima: header[4...6].map { name in records[0].firstIndex(of: name).flatMap { Double(record[$0]) } })
    }
  }
}
