import Diagnostics
import FileSystem
import Foundation

/// The bytes of one file. Every access is checked against the end; numbers are little-endian.
struct FileBytes {
  let path: String
  private let bytes: UnsafeRawBufferPointer

  init(path: String, bytes: UnsafeRawBufferPointer) {
    self.path = path
    self.bytes = bytes
  }

  var count: Int { bytes.count }

  /// Maps a file into memory for as long as `body` runs, so that only what is looked at is read.
  static func map<Result>(_ path: String, _ body: (FileBytes) throws -> Result) throws -> Result {
    let file = try OpenFile(reading: path)
    let size = try file.size()
    // An empty range cannot be mapped.
    guard size > 0 else { return try body(FileBytes(path: path, bytes: UnsafeRawBufferPointer(start: nil, count: 0))) }
    guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, file.descriptor, 0), start != MAP_FAILED else {
      throw Failure(.inputOutput, "\(path): cannot be mapped: \(String(cString: strerror(errno)))")
    }
    defer { munmap(start, size) }
    return try body(FileBytes(path: path, bytes: UnsafeRawBufferPointer(start: start, count: size)))
  }

  /// The number at a byte offset.
  func load<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type, at offset: Int) throws -> Number {
    try Number(littleEndian: slice(at: offset, count: MemoryLayout<Number>.size).loadUnaligned(as: Number.self))
  }

  /// A 64-bit size or offset. What exceeds the file's size is refused, so that arithmetic on it cannot overflow.
  func loadSize(at offset: Int, _ what: String) throws -> Int {
    let value = try load(UInt64.self, at: offset)
    guard value <= UInt64(count) else {
      throw failure("\(what) is \(value), more than the file's \(count) bytes", at: offset)
    }
    return Int(value)
  }

  func slice(at offset: Int, count: Int) throws -> UnsafeRawBufferPointer {
    guard offset >= 0, count >= 0, offset <= bytes.count, count <= bytes.count - offset else {
      throw failure(
        "the file ends at byte \(bytes.count) where \(count) bytes are expected", at: offset,
        hint: "the file is damaged or its copy incomplete: fetch it again")
    }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  func text(at offset: Int, count: Int) throws -> String {
    guard let text = String(validating: try slice(at: offset, count: count), as: UTF8.self) else {
      throw failure("text that is not UTF-8", at: offset)
    }
    return text
  }

  func starts(with prefix: some Sequence<UInt8>) -> Bool { bytes.starts(with: prefix) }

  /// Whether some bytes occur among the file's first `count`.
  func contains(_ pattern: [UInt8], inFirst count: Int) -> Bool {
    let head = bytes.prefix(count)
    return head.indices.contains { head[$0...].starts(with: pattern) }
  }

  func failure(_ message: String, at offset: Int? = nil, hint: String? = nil) -> Failure {
    Failure(.badData, "\(path): \(offset.map { "at byte \($0): " } ?? "")\(message)", hint: hint)
  }
}

/// Text from a file as an error message may show it: in quotes, control characters escaped, of bounded length.
package func quoted(_ text: String) -> String {
  let shown = String(text.unicodeScalars.prefix(100).map(Character.init))
  return shown.debugDescription + (shown.unicodeScalars.count < text.unicodeScalars.count ? "…" : "")
}
