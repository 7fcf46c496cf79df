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

/// The run's `log.jsonl`: one JSON object a line.
final class EventLog {
  private let path: String
  private let file: FileHandle
  private let encoder: JSONEncoder

  /// Opens the log of a run that goes on after `step` steps: what an earlier life logged of later steps is dropped.
  /// - Throws: `Failure(.inputOutput)`.
  init(_ path: String, after step: Int) throws {
    self.path = path
    encoder = JSONEncoder()
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
    guard let file = FileHandle(forWritingAtPath: path) else {
      throw Failure(.inputOutput, "\(path): cannot be opened for writing")
    }
    self.file = file
    _ = try? file.seekToEnd()
  }

  /// The evaluations that a log tells of, up to a step.
  /// - Throws: `Failure(.inputOutput)`.
  static func evaluations(in path: String, upTo step: Int) throws -> [EvaluationEvent] {
    guard step > 0, isFile(path) else { return [] }
    return try readFile(path).split(separator: UInt8(ascii: "\n")).compactMap {
      try? JSONDecoder().decode(EvaluationEvent.self, from: Data($0))
    }.filter { $0.step <= step }
  }

  /// - Throws: `Failure(.inputOutput)`.
  func append(_ event: some Encodable) throws {
    do {
      try file.write(contentsOf: encoder.encode(event) + Data("\n".utf8))
    } catch {
      throw Failure(.inputOutput, "\(path): cannot be written: \(error)")
    }
  }
}
