import Collectives
import Diagnostics
import FileSystem
import Foundation

/// Where and when a run was made: what its checkpoints must not depend on, and therefore do not hold. Lines of `provenance.jsonl`.
struct Provenance {
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

  let path: String

  /// Notes that the run begins or goes on. Collective; rank 0 writes.
  func begin(afterStep step: Int, threads: Int, engine: String, communicator: any Communicator) throws {
    let hosts = try communicator.hostNames()
    try communicator.agree {
      guard communicator.rank == 0 else { return }
      try append(
        Life(
          hosts: Array(Set(hosts)).sorted(), ranks: communicator.size, threads: threads, engine: engine, afterStep: step
        ))
    }
  }

  func note(checkpoint: (name: String, sha256: String, byteCount: Int)) throws {
    try append(Written(checkpoint: checkpoint.name, sha256: checkpoint.sha256, bytes: checkpoint.byteCount))
  }

  private func append(_ line: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.dateEncodingStrategy = .iso8601
    let before = isFile(path) ? try readFile(path) : []
    do {
      try writeFile(path, bytes: before + [UInt8](encoder.encode(line)) + [UInt8(ascii: "\n")])
    } catch let error as EncodingError {
      throw Failure(.internalError, "\(path): \(error)")
    }
  }
}
