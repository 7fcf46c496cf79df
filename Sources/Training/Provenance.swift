import Diagnostics
import FileSystem
import Foundation

/// Where and when a run was made: what its checkpoints must not depend on, and therefore do not hold. Lines of `provenance.jsonl`.
final class Provenance {
  private struct Life: Encodable {
    let started = Date()
    let program = versionText(tool: "rd-train")
    let hosts: [String]
    let ranks: Int
    let threads: Int
    let engine: String
    let afterStep: Int
  }

  private struct Written: Encodable {
    let written = Date()
    let checkpoint: String
    let sha256: String
    let bytes: Int
  }

  private let file: LogFile

  /// Notes that the run begins or goes on.
  /// - Parameters:
  ///   - path: lines that are there stay, but for one that a crash cut off.
  ///   - hosts: of each rank.
  /// - Throws: `Failure(.inputOutput)`.
  init(_ path: String, afterStep step: Int, hosts: [String], threads: Int, engine: String) throws {
    let before = isFile(path) ? try readFile(path) : []
    let end = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    file = try LogFile(path, beginning: Array(before[..<end]))
    try append(
      Life(hosts: Array(Set(hosts)).sorted(), ranks: hosts.count, threads: threads, engine: engine, afterStep: step))
  }

  /// - Throws: `Failure(.inputOutput)`; then the line waits for the next one.
  func note(checkpoint: (name: String, sha256: String, byteCount: Int)) throws {
    try append(Written(checkpoint: checkpoint.name, sha256: checkpoint.sha256, bytes: checkpoint.byteCount))
  }

  private func append(_ line: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.dateEncodingStrategy = .iso8601
    file.add([UInt8](try encoder.encode(line)) + [UInt8(ascii: "\n")])
    try file.finish()
  }
}
