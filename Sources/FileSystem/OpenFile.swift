import Diagnostics
import Glibc

/// An open regular file, read and written at any place and closed with its owner. A file that is removed meanwhile stays readable.
public struct OpenFile: ~Copyable, Sendable {
  /// The file, as error messages name it.
  public let path: String
  /// What the system knows it by.
  public private(set) var descriptor: Int32

  package init(_ descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  /// Opens a file for reading.
  /// - Throws: `Failure` of `.badData` where there is no such file, of `.inputOutput` where it cannot be opened.
  public init(reading path: String) throws {
    // Non-blocking, so that a pipe in the folder cannot hold the program up before it is seen to be one.
    self.init(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), path: path)
    guard descriptor >= 0 else {
      throw Failure([ENOENT, ENOTDIR].contains(errno) ? .badData : .inputOutput, "\(path): \(systemReason())")
    }
    guard try status().st_mode & S_IFMT == S_IFREG else { throw Failure(.badData, "\(path): not a file") }
  }

  /// Makes a file, or empties the one that is there.
  /// - Parameter name: the path that error messages give, where that is another.
  package init(creating path: String, called name: String) throws {
    self.init(open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644), path: name)
    guard descriptor >= 0 else { throw writeFailure(name) }
  }

  /// Opens a file to be read and changed, and makes it where there is none.
  /// - Throws: `Failure` of `.inputOutput`.
  public init(changing path: String) throws {
    self.init(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644), path: path)
    guard descriptor >= 0 else { throw writeFailure(path) }
  }

  /// Makes a file in a folder and takes its name away at once: it is gone with its owner, however the process ends.
  /// - Parameter content: what it is to hold, for error messages and, as long as it has one, its name.
  /// - Throws: `Failure` of `.inputOutput`.
  public init(scratchIn folder: String, for content: String) throws {
    let suffix = ".partial"
    var name = Array("\(folder)/\(content)-XXXXXX\(suffix)".utf8CString)
    self.init(mkstemps(&name, Int32(suffix.utf8.count)), path: "\(folder) (scratch file of \(content))")
    guard descriptor >= 0 else { throw writeFailure(path) }
    unlink(name)
  }

  deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

  /// Some file systems report a full disk only here.
  package mutating func close() throws {
    defer { descriptor = -1 }
    guard Glibc.close(descriptor) == 0 else { throw writeFailure(path) }
  }

  private func status() throws -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Failure(.inputOutput, "\(path): \(systemReason())") }
    return status
  }

  /// - Throws: `Failure` of `.inputOutput`.
  public func size() throws -> Int { Int(try status().st_size) }

  /// Fills memory with what is in the file from `offset` on.
  /// - Returns: how many bytes there were.
  /// - Throws: `Failure` of `.inputOutput`.
  public func read(into memory: UnsafeMutableRawBufferPointer, at offset: Int = 0) throws -> Int {
    var count = 0
    while count < memory.count {
      let step = pread(descriptor, memory.baseAddress.map { $0 + count }, memory.count - count, off_t(offset + count))
      if step < 0 && errno == EINTR { continue }
      guard step >= 0 else { throw Failure(.inputOutput, "\(path): \(systemReason())") }
      if step == 0 { break }
      count += step
    }
    return count
  }

  /// Fills memory with what is in the file from `offset` on.
  /// - Throws: `Failure` of `.inputOutput`, also where the file holds less.
  public func readAll(into memory: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    let count = try read(into: memory, at: offset)
    guard count == memory.count else {
      throw Failure(.inputOutput, "\(path): ends after \(offset + count) bytes; \(offset + memory.count) were written")
    }
  }

  /// Writes bytes to the file from `offset` on.
  /// - Throws: `Failure` of `.inputOutput`.
  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) throws {
    var count = 0
    while count < bytes.count {
      let step = pwrite(descriptor, bytes.baseAddress.map { $0 + count }, bytes.count - count, off_t(offset + count))
      if step < 0 && errno == EINTR { continue }
      guard step > 0 else { throw writeFailure(path) }
      count += step
    }
  }

  /// Calls `body` with all bytes, a piece at a time, and with the place of each piece.
  public func forEachPiece(_ body: (UnsafeRawBufferPointer, _ offset: Int) throws -> Void) throws {
    let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
    defer { piece.deallocate() }
    var offset = 0
    while case let count = try read(into: piece, at: offset), count > 0 {
      try body(UnsafeRawBufferPointer(rebasing: piece[..<count]), offset)
      offset += count
    }
  }

  /// The SHA-256 of the content.
  /// - Throws: `Failure` of `.inputOutput`.
  public func sha256() throws -> String {
    var hash = SHA256()
    try forEachPiece { piece, _ in hash.update(piece) }
    return hash.hexDigest()
  }

  /// Writes the content to another file, which is empty.
  /// - Throws: `Failure` of `.inputOutput`.
  public func copy(to other: borrowing OpenFile) throws {
    try forEachPiece { piece, offset in try other.write(piece, at: offset) }
  }
}
