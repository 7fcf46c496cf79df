import Diagnostics
import FileSystem
import Foundation

/// One step of a run, as a line of `log.jsonl` says it.
struct StepEvent: Codable {
  /// Counted from 1.
  let step: Int
  /// Counted from 1.
  let epoch: Int
  let loss: Double
  let imagesPerSecond: Double
  /// The step's time, split: the ranks' own work, collective calls (waiting for others included), and getting the features.
  let computeSeconds: Double
  let communicationSeconds: Double
  let inputSeconds: Double

  private enum CodingKeys: String, CodingKey {
    case step, epoch, loss
    case imagesPerSecond = "images_per_second"
    case computeSeconds = "compute_seconds"
    case communicationSeconds = "communication_seconds"
    case inputSeconds = "input_seconds"
  }
}

/// An event and when it was.
private struct Timed<Event: Encodable>: Encodable {
  let event: Event
  /// Seconds since 1970, in milliseconds.
  let time = (Date().timeIntervalSince1970 * 1000).rounded() / 1000

  private enum CodingKeys: String, CodingKey { case time }

  func encode(to encoder: any Encoder) throws {
    try event.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(time, forKey: .time)
  }
}

/// The run's `log.jsonl`, one JSON object a line, and the other logs, which say the same for other programs.
final class EventLog {
  private let files: [(form: any LogForm, file: LogFile)]
  private let encoder = JSONEncoder()
  private let warn: (String) -> Void
  private var isBehind = false

  /// Opens the logs of a run that goes on after `step` steps: what an earlier life logged of later steps is dropped. `log.jsonl` is the one that
  /// is read; the others are made anew from it.
  /// - Parameter warn: is told when lines can no longer be written.
  /// - Throws: `Failure(.inputOutput)`.
  init(_ run: RunFolder, after step: Int, warn: @escaping (String) -> Void) throws {
    self.warn = warn
    encoder.outputFormatting = [.sortedKeys]
    var records: [LogRecord] = []
    if step > 0, isFile(run.log) {
      // A line that a crash cut off is no event.
      records = try readFile(run.log).split(separator: UInt8(ascii: "\n")).compactMap(LogRecord.init(line:))
        .filter { $0.step <= step }
    }
    let forms: [(any LogForm, String)] = [
      (JSONLines(), run.log), (CSVLines(), run.table), (TensorBoardRecords(), run.tensorBoard),
    ]
    files = try forms.map { form, path in
      let beginning = form.header(at: records.first?.time ?? Date().timeIntervalSince1970) + records.flatMap(form.bytes)
      return (form, try LogFile(path, beginning: beginning))
    }
  }

  func append(_ event: some Encodable) throws {
    guard let record = LogRecord(line: Array(try encoder.encode(Timed(event: event)))) else {
      throw Failure(.internalError, "an event of the log is no object of numbers: \(event)")
    }
    for (form, file) in files { file.add(form.bytes(of: record)) }
    do {
      try finish()
    } catch {
      if !isBehind { warn("\(error)\n  the lines are kept, and written as soon as that is possible") }
      isBehind = true
    }
  }

  /// Writes what waits.
  /// - Throws: `Failure(.inputOutput)` of the first file that takes nothing, when the others have got theirs.
  func finish() throws {
    let outcomes = files.map { entry in Result { try entry.file.finish() } }
    for outcome in outcomes { try outcome.get() }
    isBehind = false
  }
}
