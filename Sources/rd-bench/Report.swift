import Distillation
import Foundation
import Numerics

/// What was measured, and the results: a table for people, JSON for programs.
struct Report: Encodable {
  let program = "rd-bench"
  let benchmark: String
  let settings: Settings
  let instructions = Instructions.best.description
  /// Of matrix products on the same cores in the same run.
  var peakGflops: Double? {
    didSet {
      for index in rows.indices {
        rows[index].shareOfPeak = rows[index].gflops.flatMap { gflops in peakGflops.map { gflops / $0 } }
      }
    }
  }
  /// Whose matrix products the peak is of: the faster ones.
  var peakSource: String?
  var copyGigabytesPerSecond: Double?
  /// Of what was timed as a whole.
  var imagesPerSecond: Double?
  var parameters: Int?
  /// The most memory that a rank has had.
  var peakMemoryBytes: Int?
  var rows: [Row] = []

  struct Row: Encodable {
    let name: String
    let medianSeconds: Double
    let minimumSeconds: Double
    /// From the median.
    let gflops: Double?
    fileprivate(set) var shareOfPeak: Double?
    /// How often the networks have such a convolution.
    let uses: Int?
  }

  init(_ benchmark: String, _ settings: Settings) {
    self.benchmark = benchmark
    self.settings = settings
  }

  /// - Parameter work: floating-point operations, counted as direct convolutions; none for what is no arithmetic.
  mutating func add(_ name: String, _ samples: [Double], work: Double? = nil, uses: Int? = nil) {
    let gflops = work.map { $0 / median(samples) / 1e9 }
    rows.append(
      Row(
        name: name, medianSeconds: median(samples), minimumSeconds: samples.min() ?? .nan, gflops: gflops,
        uses: uses))
  }

  var json: Data {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      return try encoder.encode(self) + Data("\n".utf8)
    }
  }

  var table: String {
    var lines = ["\(benchmark): \(settings)", instructions]
    if let peakGflops {
      lines.append(String(format: "peak %.1f GFLOP/s", peakGflops) + (peakSource.map { ", \($0)" } ?? ""))
    }
    if let copyGigabytesPerSecond { lines.append(String(format: "copy %.1f GB/s", copyGigabytesPerSecond)) }
    if !rows.isEmpty {
      let width = rows.map(\.name.count).max() ?? 0
      func line(_ name: String, _ cells: [String]) -> String {
        let cells = cells.map { String(repeating: " ", count: max(11 - $0.count, 0)) + $0 }
        return name + String(repeating: " ", count: width - name.count) + cells.joined()
      }
      lines.append(line("", ["median ms", "min ms", "GFLOP/s", "of peak"] + (rows[0].uses == nil ? [] : ["uses"])))
      for row in rows {
        lines.append(
          line(
            row.name,
            [
              String(format: "%.2f", row.medianSeconds * 1e3), String(format: "%.2f", row.minimumSeconds * 1e3),
              row.gflops.map { String(format: "%.1f", $0) } ?? "-",
              row.shareOfPeak.map { String(format: "%.0f %%", $0 * 100) } ?? "-",
            ] + (row.uses.map { ["\($0)"] } ?? [])))
      }
    }
    if let imagesPerSecond { lines.append(String(format: "%.2f images/s", imagesPerSecond)) }
    if let parameters { lines.append("\(parameters) trained parameters") }
    if let peakMemoryBytes { lines.append("peak memory \(peakMemoryBytes >> 20) MiB") }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// What a benchmark was told, as far as it matters to it.
struct Settings: Encodable, CustomStringConvertible {
  var backbone: String?
  var size: Int?
  var images: Int?
  var engine: String?
  var precision: String?
  var batch: Int?
  var shards: Int?
  var threads: Int
  var ranks: Int?
  var featureCache: Bool?

  init(threads: Int) { self.threads = threads }

  init(_ model: ModelOptions, _ training: TrainingOptions? = nil, threads: Int) {
    backbone = model.backbone.rawValue
    size = model.size
    engine = model.engine.rawValue
    precision = model.precision.rawValue
    batch = training?.batch
    shards = training?.shards
    self.threads = threads
  }

  var description: String {
    let parts: [(String, Any?)] = [
      ("backbone", backbone), ("size", size), ("images", images), ("engine", engine), ("precision", precision),
      ("batch", batch),
      ("shards", shards),
      ("threads", threads), ("ranks", ranks), ("feature cache", featureCache.map { $0 ? "on" : "off" }),
    ]
    return parts.compactMap { name, value in value.map { "\(name) \($0)" } }.joined(separator: ", ")
  }
}

/// The mean of the middle two where there is no middle one.
private func median(_ samples: [Double]) -> Double {
  let sorted = samples.sorted()
  return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
