import FileSystem
import Foundation

/// An event of a run: numbers under the names that they have in `log.jsonl`.
struct LogRecord {
  /// The line of `log.jsonl`, without its end.
  let line: [UInt8]
  let values: [String: Double]
  let step: Int
  /// Seconds since 1970; 0 in logs of versions that did not say.
  var time: Double { values["time"] ?? 0 }

  /// - Returns: nil where the line is no event.
  init?(line: some Sequence<UInt8>) {
    self.line = Array(line)
    guard let values = try? decodeJSON([String: Double].self, from: self.line),
      let step = values["step"].flatMap(Int.init(exactly:))
    else { return nil }
    (self.values, self.step) = (values, step)
  }
}

/// How a log says what happens, record after record.
protocol LogForm {
  /// What stands before the first record.
  /// - Parameter time: of the first record, in seconds since 1970.
  func header(at time: Double) -> [UInt8]
  func bytes(of record: LogRecord) -> [UInt8]
}

/// A JSON object a line.
struct JSONLines: LogForm {
  func header(at time: Double) -> [UInt8] { [] }
  func bytes(of record: LogRecord) -> [UInt8] { record.line + [UInt8(ascii: "\n")] }
}

/// A line an event, for spreadsheets; cells stay empty where the event has no such number.
struct CSVLines: LogForm {
  static let columns = [
    "step", "epoch", "time", "loss", "images_per_second", "compute_seconds", "communication_seconds", "input_seconds",
    "validation_loss", "image_auroc", "pixel_auroc", "aupro", "evaluation_seconds",
  ]

  func header(at time: Double) -> [UInt8] { line(Self.columns) }

  func bytes(of record: LogRecord) -> [UInt8] {
    line(
      Self.columns.map { column in
        let text = record.values[column].map(\.description) ?? ""
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
      })
  }

  private func line(_ cells: [String]) -> [UInt8] { Array((cells.joined(separator: ",") + "\n").utf8) }
}
