import TensorFiles

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
    var event = ProtobufMessage()
    event.add(Field.wallTime, time)
    event.add(Field.fileVersion, "brain.Event:2")
    return framed(event.bytes)
  }

  /// An event with a scalar for each number, under its name.
  func bytes(of record: LogRecord) -> [UInt8] {
    var summary = ProtobufMessage()
    for (name, number) in record.values.sorted(by: { $0.key < $1.key }) where name != "step" && name != "time" {
      var value = ProtobufMessage()
      value.add(Field.tag, name)
      value.add(Field.simpleValue, Float(number))
      summary.add(Field.summaryValue, value)
    }
    var event = ProtobufMessage()
    event.add(Field.wallTime, record.time)
    event.add(Field.step, record.step)
    event.add(Field.summary, summary)
    return framed(event.bytes)
  }

  private func framed(_ bytes: [UInt8]) -> [UInt8] {
    let length = littleEndian(UInt64(bytes.count))
    return length + littleEndian(maskedChecksum(length)) + bytes + littleEndian(maskedChecksum(bytes))
  }
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
