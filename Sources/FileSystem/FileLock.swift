import Diagnostics
import Glibc

/// A file that one process at a time holds, also on network file systems. It is free as soon as that process ends, however it ends.
public final class FileLock: Sendable {
  private let file: OpenFile

  /// Takes the lock, and makes the file where there is none. The file stays: to remove it would free it for others while one holds it.
  /// - Parameters:
  ///   - holder: who this is, as a process is told that finds the lock taken; one line.
  ///   - patience: how long to wait for another holder, which may just be ending.
  /// - Returns: nil where the file system has no locks.
  /// - Throws: `Failure` of `.configuration` that names the holder where the lock is taken, of `.inputOutput` where the file cannot be made.
  public init?(_ path: String, holder: String, patience: Duration) throws {
    let file = try OpenFile(changing: path)
    let deadline = ContinuousClock.now + patience
    while flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 {
      if errno == EINTR { continue }
      guard errno == EWOULDBLOCK else { return nil }
      guard ContinuousClock.now < deadline else {
        throw Failure(
          .configuration, "\(folder(of: path)): in use by \(try Self.firstLine(of: file) ?? "another process")")
      }
      usleep(100_000)
    }
    // It is for people, and a full disk keeps nobody from holding the lock.
    ftruncate(file.descriptor, 0)
    try? Array("\(holder)\n".utf8).withUnsafeBytes { try file.write($0) }
    self.file = file
  }

  private static func firstLine(of file: borrowing OpenFile) throws -> String? {
    var bytes = [UInt8](repeating: 0, count: 256)
    let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0) }
    return String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n").first.map(String.init)
  }
}
