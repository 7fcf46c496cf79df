import Diagnostics
import FileSystem
import Metrics

/// A measure that runs are compared by.
enum ComparedMeasure: String, CaseIterable, Encodable, Sendable {
  case imageAUROC = "image_auroc"
  case imageAP = "image_ap"
  case imageF1Max = "image_f1max"
  case pixelAUROC = "pixel_auroc"
  case pixelAP = "pixel_ap"
  case aupro
  case auproReference = "aupro_reference"

  var title: String {
    switch self {
    case .imageAUROC: "image AUROC"
    case .imageAP: "image AP"
    case .imageF1Max: "image F1-max"
    case .pixelAUROC: "pixel AUROC"
    case .pixelAP: "pixel AP"
    case .aupro: "AUPRO"
    case .auproReference: "AUPRO by images"
    }
  }

  func value(in metrics: DetectionMetrics) -> Double? {
    switch self {
    case .imageAUROC: metrics.imageAUROC
    case .imageAP: metrics.imageAP
    case .imageF1Max: metrics.imageF1Max
    case .pixelAUROC: metrics.pixelAUROC
    case .pixelAP: metrics.pixelAP
    case .aupro: metrics.aupro
    case .auproReference: metrics.auproReference
    }
  }

  /// Its part of what is known of the image metrics; nil for the pixels'.
  func part<Value>(of measures: ImageMeasures<Value>) -> Value? {
    switch self {
    case .imageAUROC: measures.auroc
    case .imageAP: measures.averagePrecision
    case .imageF1Max: measures.f1Max
    case .pixelAUROC, .pixelAP, .aupro, .auproReference: nil
    }
  }
}

/// Evaluations side by side, each with its difference to a baseline: the first of them, or the paper's figures.
public struct Comparison: Sendable {
  /// What one measure is on one category, in each column.
  struct Line: Sendable {
    let category: String
    let measure: ComparedMeasure
    let values: [Double?]
    /// To the first column; nil for that, and where a value is not known.
    let differences: [Difference?]
  }

  struct Difference: Sendable {
    let value: Double
    /// On samples with repetition from the images. Nil for the pixels' measures, where the images are not the same, and where the samples say nothing.
    let interval: ConfidenceInterval?

    /// Whether it may be there by the choice of test images.
    var isWithinChance: Bool? { interval?.contains(0) }
  }

  static let mean = "mean"

  /// The baseline first.
  let columns: [String]
  private(set) var lines: [Line] = []
  /// What does not fit together.
  private(set) var remarks: [String] = []

  /// - Parameters:
  ///   - runs: at least one.
  ///   - withPaper: the paper's figures are the baseline.
  /// - Throws: `Failure` of `.badData` where the runs have no category in common, or not all of those that the paper's means are over.
  public init(_ runs: [EvaluatedRun], withPaper: Bool) throws {
    columns = (withPaper ? [PublishedFigures.name] : []) + runs.map(\.name)
    // Two single test sets are compared whatever their folders are called.
    let areSingle = runs.allSatisfy(\.isSingle) && !withPaper
    func set(_ category: String, of run: EvaluatedRun) -> EvaluatedRun.TestSet? {
      areSingle ? run.sets.values.first : run.sets[category]
    }
    let named = Set(runs.compactMap(\.category))
    guard !areSingle || named.count < 2 else {
      throw Failure(
        .badData, "evaluations of different categories: \(named.sorted(by: precedesInBytes).joined(separator: ", "))",
        hint: "give evaluations of the same test set")
    }
    let known = areSingle ? Set(runs[0].sets.keys) : Set(runs.flatMap(\.sets.keys))
    let all = CategoryTable.order(known.sorted(by: precedesInBytes))
    let common = all.filter { category in
      runs.allSatisfy { set(category, of: $0) != nil }
        && (!withPaper || PublishedFigures.categories.contains(category))
    }
    if withPaper, let missing = PublishedFigures.categories.first(where: { !common.contains($0) }) {
      throw Failure(
        .badData,
        "the paper's figures are means over MVTec AD's 15 categories, and there is no \(missing) in all of these",
        hint: "evaluate with --category all")
    }
    guard !common.isEmpty else {
      throw Failure(
        .badData, "\(columns.joined(separator: ", ")): have no category in common",
        hint: "\(runs[0].name) has \(all.joined(separator: ", "))")
    }
    if common.count < all.count {
      let rest = all.filter { !common.contains($0) }
      remarks.append("left out, since not all have them: \(rest.joined(separator: ", "))")
    }

    let categories = try common.map { category in
      let sets = runs.compactMap { set(category, of: $0) }
      let comparable = try ComparedCategory(category, sets, withPaper: withPaper)
      if let remark = comparable.remark { remarks.append(remark) }
      return comparable
    }
    for measure in ComparedMeasure.allCases {
      let own = categories.map { category in
        Self.line(category.name, measure, category.values(of: measure)) { category.draws(of: measure, $0) }
      }
      lines += own
      guard own.count > 1 else { continue }
      let published = withPaper ? PublishedFigures.mean(of: measure) : nil
      let means = columns.indices.map { column -> Double? in
        if withPaper, column == 0 { return published }
        let known = own.compactMap { $0.values[column] }
        return known.count == own.count ? known.reduce(0, +) / Double(own.count) : nil
      }
      // The images of each category are drawn independently of the others'.
      lines.append(
        Self.line(Self.mean, measure, means) { column in
          let parts = categories.compactMap { $0.draws(of: measure, column) }
          guard parts.count == categories.count else { return nil }
          return parts[0].indices.map { draw in
            parts.reduce(0) { $0 + $1[draw] } / Double(parts.count) - (published ?? 0)
          }
        })
    }
  }

  /// - Parameter draws: the differences to the baseline on each sample.
  private static func line(
    _ category: String, _ measure: ComparedMeasure, _ values: [Double?], draws: (_ column: Int) -> [Double]?
  ) -> Line {
    let differences = values.enumerated().map { column, value -> Difference? in
      guard column > 0, let value, let baseline = values[0] else { return nil }
      let interval = draws(column).map(ConfidenceInterval.init(of:))
      // Without an error in the test set no sample has one: that is not certainty.
      let saysNothing = interval.map { $0.low == $0.high && $0.low != 0 } ?? true
      return Difference(value: value - baseline, interval: saysNothing ? nil : interval)
    }
    return Line(category: category, measure: measure, values: values, differences: differences)
  }
}

/// A category with its evaluations and their samples.
private struct ComparedCategory {
  let name: String
  private let sets: [EvaluatedRun.TestSet]
  private let withPaper: Bool
  /// Of each evaluation; nil where they cannot be compared.
  private let samples: [ImageMeasures<[Double]>]?
  /// Why not.
  let remark: String?

  init(_ name: String, _ sets: [EvaluatedRun.TestSet], withPaper: Bool) throws {
    (self.name, self.sets, self.withPaper) = (name, sets, withPaper)
    let rankings = try sets.map { set in
      try RankedScores(scores: set.images.map(\.score), labels: set.images.map(\.isAnomalous))
    }
    if withPaper {
      let own = rankings.compactMap { bootstrap([$0], name: name)?.first }
      samples = own.count == sets.count ? own : nil
    } else {
      func identity(_ set: EvaluatedRun.TestSet) -> [String] { set.images.map { "\($0.isAnomalous) \($0.path)" } }
      let areSame = sets.allSatisfy { identity($0) == identity(sets[0]) }
      samples = areSame ? bootstrap(rankings, name: name) : nil
    }
    remark = samples == nil ? "\(name): not the same images, or of one class only: no intervals" : nil
  }

  func values(of measure: ComparedMeasure) -> [Double?] {
    (withPaper ? [nil] : [])
      + sets.map { measure.value(in: $0.metrics) }
  }

  /// The difference of a column to the first on each sample; where that is the paper's, of which single categories are not known, the column's value.
  func draws(of measure: ComparedMeasure, _ column: Int) -> [Double]? {
    guard let samples else { return nil }
    if withPaper { return measure.part(of: samples[column - 1]) }
    return measure.part(of: samples[column] - samples[0])
  }
}
