import Diagnostics
import FileSystem
import Glibc

/// The files of a run.
public struct RunFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  public var checkpoints: String { "\(path)/checkpoints" }
  var configuration: String { "\(path)/config.toml" }
  var log: String { "\(path)/log.jsonl" }

  /// Puts the checkpoints and the log of an earlier run aside, under the next free number, so that a new one can begin here.
  /// - Returns: where the checkpoints went; nil where there were none.
  /// - Throws: `Failure(.inputOutput)`.
  func setAside() throws -> String? {
    guard isFolder(checkpoints) else { return nil }
    var number = 1
    while isFolder("\(checkpoints)-\(number)") { number += 1 }
    try move(checkpoints, to: "\(checkpoints)-\(number)")
    if isFile(log) { try move(log, to: "\(path)/log-\(number).jsonl") }
    return "\(checkpoints)-\(number)"
  }

  private func move(_ old: String, to new: String) throws {
    guard rename(old, new) == 0 else {
      throw Failure(.inputOutput, "\(old): cannot be renamed: \(String(cString: strerror(errno)))")
    }
  }
}
