import Diagnostics
import FileSystem

/// A ZIP archive whose entries are stored as they are (PKWARE's APPNOTE 6.3), without ZIP64.
struct ZipWriter {
  private var writer = FileWriter()
  private var directory: [UInt8] = []
  private var entries: UInt16 = 0

  mutating func add(_ name: String, _ bytes: [UInt8], to file: borrowing OpenFile) throws {
    guard writer.offset + bytes.count < UInt32.max, entries < UInt16.max else {
      throw Failure(.badData, "\(file.path): would take 4 GiB or more", hint: "write .safetensors instead")
    }
    let start = UInt32(writer.offset)
    let checksum = bytes.withUnsafeBytes { CRC32.checksum(of: $0) }
    // Version 2.0, no flags, stored, no time (1980-01-01), checksum, sizes, the name's length.
    let common: [UInt8] =
      littleEndian(UInt16(20)) + [0, 0, 0, 0, 0, 0, 0x21, 0] + littleEndian(checksum)
      + littleEndian(UInt32(bytes.count))
      + littleEndian(UInt32(bytes.count)) + littleEndian(UInt16(name.utf8.count))
    try writer.append(littleEndian(UInt32(0x0403_4B50)) + common + [0, 0] + Array(name.utf8), to: file)
    try writer.append(bytes, to: file)
    directory += littleEndian(UInt32(0x0201_4B50)) + littleEndian(UInt16(20)) + common
    directory += [UInt8](repeating: 0, count: 12) + littleEndian(start) + Array(name.utf8)
    entries += 1
  }

  mutating func finish(_ file: borrowing OpenFile) throws {
    let start = UInt32(writer.offset)
    try writer.append(directory, to: file)
    try writer.append(
      littleEndian(UInt32(0x0605_4B50)) + [0, 0, 0, 0] + littleEndian(entries) + littleEndian(entries)
        + littleEndian(UInt32(directory.count)) + littleEndian(start) + [0, 0], to: file)
  }
}
