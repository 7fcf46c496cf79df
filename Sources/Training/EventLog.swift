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

/// What all events have.
private struct Stepped: Decodable {
  let step: Int
}

/// The run's `log.jsonl`: one JSON object a line. Lines that cannot be written wait in memory, and go with the next one.
final class EventLog {
  private let file: OpenFile
  private let encoder = JSONEncoder()
  private let warn: (String) -> Void
  /// The bytes of the whole lines in the file.
  private var size = 0
  private var waiting: [UInt8] = []
  private var isBehind = false

  /// Opens the log of a run that goes on after `step` steps: what an earlier life logged of later steps is dropped.
  /// - Parameter warn: is told when lines can no longer be written.
  /// - Throws: `Failure(.inputOutput)`.
  init(_ path: String, after step: Int, warn: @escaping (String) -> Void) throws {
    self.warn = warn
    encoder.outputFormatting = [.sortedKeys]
    let decoder = JSONDecoder()
    var kept: [UInt8] = []
    if step > 0, isFile(path) {
      for line in try readFile(path).split(separator: UInt8(ascii: "\n")) {
        // A line that a crash cut off is no event.
        guard let event = try? decoder.decode(Stepped.self, from: Data(line)), event.step <= step else { continue }
        kept += line + [UInt8(ascii: "\n")]
      }
    }
    try writeFile(path, bytes: kept)
    file = try OpenFile(changing: path)
    size = kept.count
  }

  func append(_ event: some Encodable) throws {
    waiting += try encoder.encode(event) + [UInt8(ascii: "\n")]
    do {
      try finish()
    } catch {
      if !isBehind { warn("\(error)\n  the lines are kept, and written as soon as that is possible") }
      isBehind = true
    }
  }

  /// Writes what waits.
  /// - Throws: `Failure(.inputOutput)`.
  func finish() throws {
    // A line of which only a part was written is written again from its start.
    try waiting.withUnsafeBytes { try file.write($0, at: size) }
    size += waiting.count
    waiting = []
    isBehind = false
  }
}
