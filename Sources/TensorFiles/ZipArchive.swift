import Diagnostics

/// The directory of a ZIP archive whose entries are stored as they are (PKWARE's APPNOTE 6.3, ZIP64 included).
struct ZipArchive {
  struct Entry {
    let name: String
    /// The offset of the entry's local header.
    let header: Int
    let size: Int
    let checksum: UInt32
    /// 0 is "stored".
    let method: UInt16
    let isEncrypted: Bool
  }

  private let file: FileBytes
  private let entries: [String: Entry]
  /// Bytes that entries may still take up: together they cannot be larger than the file unless they overlap.
  private var unread: Int

  var names: Dictionary<String, Entry>.Keys { entries.keys }

  init(_ file: FileBytes) throws {
    self.file = file
    unread = file.count
    let (start, entryCount) = try Self.directory(of: file)
    var entries: [String: Entry] = [:]
    var offset = start
    for _ in 0..<entryCount {
      let (entry, next) = try Self.entry(of: file, at: offset)
      guard entries.updateValue(entry, forKey: entry.name) == nil else {
        throw file.failure("two archive entries are named \(quoted(entry.name))", at: offset)
      }
      offset = next
    }
    self.entries = entries
  }

  /// The place of an entry's bytes, which are checked against the entry's CRC-32.
  mutating func read(_ name: String) throws -> Range<Int> {
    guard let entry = entries[name] else { throw file.failure("the archive has no entry \(quoted(name))") }
    let title = "archive entry \(quoted(name))"
    guard !entry.isEncrypted else { throw file.failure("\(title) is encrypted", at: entry.header) }
    guard entry.method == 0 else {
      throw file.failure(
        "\(title) is compressed (method \(entry.method))", at: entry.header,
        hint: "torch.save never compresses: the archive was packed anew; store it without compression (zip -0)")
    }
    guard try file.load(UInt32.self, at: entry.header) == 0x0403_4B50 else {
      throw file.failure("\(title) has no local header", at: entry.header)
    }
    let nameSize = Int(try file.load(UInt16.self, at: entry.header + 26))
    let extraSize = Int(try file.load(UInt16.self, at: entry.header + 28))
    let start = entry.header + 30 + nameSize + extraSize
    guard entry.size <= unread else { throw file.failure("\(title) overlaps other entries", at: start) }
    unread -= entry.size
    guard try CRC32.checksum(of: file.slice(at: start, count: entry.size)) == entry.checksum else {
      throw file.failure(
        "\(title) does not match its CRC-32", at: start,
        hint: "the file is damaged: fetch it again (or it was saved with torch.serialization.set_crc32_options(False))")
    }
    return start..<start + entry.size
  }

  /// Where the central directory starts and how many entries it has.
  private static func directory(of file: FileBytes) throws -> (start: Int, entryCount: Int) {
    // The end record is the last thing in the file, but for a comment of at most 65,535 bytes.
    var end = file.count - 22
    let earliest = max(0, end - 0xFFFF)
    while true {
      guard end >= earliest else {
        throw file.failure(
          "the ZIP archive has no end record", hint: "the file is damaged or its copy incomplete: fetch it again")
      }
      if try file.load(UInt32.self, at: end) == 0x0605_4B50,
        Int(try file.load(UInt16.self, at: end + 20)) == file.count - end - 22
      {
        break
      }
      end -= 1
    }
    if end >= 20, try file.load(UInt32.self, at: end - 20) == 0x0706_4B50 {
      let record = try file.loadSize(at: end - 12, "the ZIP64 end record's offset")
      guard try file.load(UInt32.self, at: record) == 0x0606_4B50 else {
        throw file.failure("the ZIP64 end record is missing", at: record)
      }
      return (
        try file.loadSize(at: record + 48, "the central directory's offset"),
        try file.loadSize(at: record + 32, "the number of archive entries")
      )
    }
    return (Int(try file.load(UInt32.self, at: end + 16)), Int(try file.load(UInt16.self, at: end + 10)))
  }

  private static func entry(of file: FileBytes, at offset: Int) throws -> (entry: Entry, next: Int) {
    guard try file.load(UInt32.self, at: offset) == 0x0201_4B50 else {
      throw file.failure("an entry of the ZIP archive's directory is malformed", at: offset)
    }
    let nameSize = Int(try file.load(UInt16.self, at: offset + 28))
    let extraSize = Int(try file.load(UInt16.self, at: offset + 30))
    let commentSize = Int(try file.load(UInt16.self, at: offset + 32))
    let name = try file.text(at: offset + 46, count: nameSize)
    let extra = offset + 46 + nameSize
    let end = extra + extraSize

    // A size or offset of 0xFFFFFFFF says that the real one is in the ZIP64 field, in this order.
    var wide = try zip64Field(of: file, in: extra..<end)
    func size(at place: Int, _ what: String) throws -> Int {
      let value = try file.load(UInt32.self, at: place)
      guard value == UInt32.max else { return Int(value) }
      guard wide.count >= 8 else { throw file.failure("\(what) of \(quoted(name)) is missing", at: place) }
      defer { wide = wide.dropFirst(8) }
      return try file.loadSize(at: wide.lowerBound, "\(what) of \(quoted(name))")
    }
    let unpacked = try size(at: offset + 24, "the size")
    _ = try size(at: offset + 20, "the packed size")
    let header = try size(at: offset + 42, "the offset")
    let entry = Entry(
      name: name, header: header, size: unpacked, checksum: try file.load(UInt32.self, at: offset + 16),
      method: try file.load(UInt16.self, at: offset + 10),
      isEncrypted: try file.load(UInt16.self, at: offset + 8) & 1 != 0)
    return (entry, end + commentSize)
  }

  /// The place of the ZIP64 field's content among an entry's extra fields; empty where there is none.
  private static func zip64Field(of file: FileBytes, in extra: Range<Int>) throws -> Range<Int> {
    var offset = extra.lowerBound
    while offset + 4 <= extra.upperBound {
      let size = Int(try file.load(UInt16.self, at: offset + 2))
      if try file.load(UInt16.self, at: offset) == 1 {
        return offset + 4..<min(offset + 4 + size, extra.upperBound)
      }
      offset += 4 + size
    }
    return extra.upperBound..<extra.upperBound
  }
}
