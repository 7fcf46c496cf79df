/// TensorBoard's event files: protobuf messages, each framed as a TFRecord with its length and checksums.
struct TensorBoardRecords: LogForm {
  // The numbers of the fields in event.proto and summary.proto.
  private enum Field {
    static let wallTime = 1
    static let step = 2
    static let fileVersion = 3
    static let summary = 5
    static let summaryValue = 1
    static let tag = 1
    static let simpleValue = 2
  }

  func header(at time: Double) -> [UInt8] {
    var event = Message()
    event.add(Field.wallTime, time)
    event.add(Field.fileVersion, Array("brain.Event:2".utf8))
    return framed(event.bytes)
  }

  /// An event with a scalar for each number, under its name.
  func bytes(of record: LogRecord) -> [UInt8] {
    var summary = Message()
    for (name, number) in record.values.sorted(by: { $0.key < $1.key }) where name != "step" && name != "time" {
      var value = Message()
      value.add(Field.tag, Array(name.utf8))
      value.add(Field.simpleValue, Float(number))
      summary.add(Field.summaryValue, value.bytes)
    }
    var event = Message()
    event.add(Field.wallTime, record.time)
    event.add(Field.step, record.step)
    event.add(Field.summary, summary.bytes)
    return framed(event.bytes)
  }

  private func framed(_ bytes: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(bytes.count))
    return length + littleEndian(maskedChecksum(length)) + bytes + littleEndian(maskedChecksum(bytes))
  }
}

/// Fields of a protobuf message, in protobuf's wire format.
private struct Message {
  private(set) var bytes: [UInt8] = []

  mutating func add(_ field: Int, _ number: Double) {
    begin(field, wireType: 1)
    bytes += littleEndian(number.bitPattern)
  }

  mutating func add(_ field: Int, _ number: Float) {
    begin(field, wireType: 5)
    bytes += littleEndian(number.bitPattern)
  }

  mutating func add(_ field: Int, _ number: Int) {
    begin(field, wireType: 0)
    add(varint: UInt64(bitPattern: Int64(number)))
  }

  mutating func add(_ field: Int, _ content: [UInt8]) {
    begin(field, wireType: 2)
    add(varint: UInt64(content.count))
    bytes += content
  }

  private mutating func begin(_ field: Int, wireType: Int) { add(varint: UInt64(field << 3 | wireType)) }

  private mutating func add(varint number: UInt64) {
    var rest = number
    while rest > 0x7F {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}

private func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: number.littleEndian) { Array($0) }
}

/// CRC-32C, byte by byte.
private let checksumTable: [UInt32] = (0..<256).map { byte in
  (0..<8).reduce(UInt32(byte)) { rest, _ in rest >> 1 ^ (rest & 1 == 1 ? 0x82F6_3B78 : 0) }
}

/// The CRC-32C of bytes, rotated and shifted as TFRecords have it.
private func maskedChecksum(_ bytes: [UInt8]) -> UInt32 {
  let checksum = ~bytes.reduce(~UInt32(0)) { checksumTable[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ $0 >> 8 }
  return (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
}
