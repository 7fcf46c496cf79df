import FileSystem

/// A message in Protocol Buffers' wire format, field by field. A tensor's values are asked for when the message is written.
package struct ProtobufMessage {
  private enum Part {
    case bytes([UInt8])
    case tensor(LazyTensor)
  }

  private var parts: [Part] = []
  /// Bytes of the whole message.
  private(set) var count = 0

  package init() {}

  /// A whole number, from 0 on.
  package mutating func add(_ field: Int, _ value: Int) { append(varint(field << 3) + varint(value)) }

  package mutating func add(_ field: Int, _ value: Float) {
    append(varint(field << 3 | 5) + littleEndian(value.bitPattern))
  }

  package mutating func add(_ field: Int, _ value: Double) {
    append(varint(field << 3 | 1) + littleEndian(value.bitPattern))
  }

  package mutating func add(_ field: Int, _ text: String) { add(field, bytes: Array(text.utf8)) }

  package mutating func add(_ field: Int, bytes: [UInt8]) {
    append(varint(field << 3 | 2) + varint(bytes.count) + bytes)
  }

  package mutating func add(_ field: Int, _ message: ProtobufMessage) {
    append(varint(field << 3 | 2) + varint(message.count))
    parts += message.parts
    count += message.count
  }

  /// A tensor's values in float32, as bytes.
  package mutating func add(_ field: Int, valuesOf tensor: LazyTensor) {
    append(varint(field << 3 | 2) + varint(tensor.byteCount))
    parts.append(.tensor(tensor))
    count += tensor.byteCount
  }

  /// The message as it is written, where no tensor is in it.
  package var bytes: [UInt8] {
    parts.flatMap { part in
      guard case .bytes(let bytes) = part else { preconditionFailure("a message with tensors") }
      return bytes
    }
  }

  /// - Throws: `Failure` of `.inputOutput`, or what a tensor throws.
  package func write(to path: String) throws {
    try writeFile(path) { file in
      var writer = FileWriter()
      for part in parts {
        switch part {
        case .bytes(let bytes): try writer.append(bytes, to: file)
        case .tensor(let tensor): try writer.append(tensor, to: file)
        }
      }
    }
  }

  private mutating func append(_ bytes: [UInt8]) {
    parts.append(.bytes(bytes))
    count += bytes.count
  }
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
private func varint(_ value: Int) -> [UInt8] {
  precondition(value >= 0)
  var (rest, bytes) = (value, [UInt8]())
  repeat {
    bytes.append(UInt8(rest & 0x7F) | (rest > 0x7F ? 0x80 : 0))
    rest >>= 7
  } while rest > 0
  return bytes
}
