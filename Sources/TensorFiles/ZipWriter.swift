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
    let size = littleEndian(UInt32(bytes.count))
    var common: [UInt8] = littleEndian(UInt16(20))
    common += [0, 0, 0, 0, 0, 0, 0x21, 0]
    common += littleEndian(checksum)
    common += size
    common += size
    common += littleEndian(UInt16(name.utf8.count))
    try writer.append(littleEndian(UInt32(0x0403_4B50)) + common + [0, 0] + Array(name.utf8), to: file)
    try writer.append(bytes, to: file)
    directory += littleEndian(UInt32(0x0201_4B50)) + littleEndian(UInt16(20)) + common
    directory += [UInt8](repeating: 0, count: 12) + littleEndian(start) + Array(name.utf8)
    entries += 1
  }

  mutating func finish(_ file: borrowing OpenFile) throws {
    let start = UInt32(writer.offset)
    try writer.append(directory, to: file)
    var end: [UInt8] = littleEndian(UInt32(0x0605_4B50))
    end += [0, 0, 0, 0]
    end += littleEndian(entries)
    end += littleEndian(entries)
    end += littleEndian(UInt32(directory.count))
    end += littleEndian(start)
    end += [0, 0]
    try writer.append(end, to: file)
  }
}
