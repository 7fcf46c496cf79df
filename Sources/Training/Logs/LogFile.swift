import FileSystem

/// A file that grows at its end. What cannot be written, as on a full disk, waits in memory and goes with what comes next.
final class LogFile {
  private let file: OpenFile
  /// The bytes that have been written for good.
  private var size: Int
  private var waiting: [UInt8] = []

  /// - Parameter beginning: takes the place of what is there.
  /// - Throws: `Failure(.inputOutput)`.
  init(_ path: String, beginning: [UInt8]) throws {
    try writeFile(path, bytes: beginning)
    file = try OpenFile(changing: path)
    size = beginning.count
  }

  func add(_ bytes: [UInt8]) { waiting += bytes }

  /// Writes what waits.
  /// - Throws: `Failure(.inputOutput)`.
  func finish() throws {
    // What was written in part is written again from its start.
    try waiting.withUnsafeBytes { try file.write($0, at: size) }
    size += waiting.count
    waiting = []
  }
}
