import FileSystem
import TensorFiles

/// A message in Protocol Buffers' wire format, field by field. A tensor's values are asked for when the message is written.
struct ProtobufMessage {
  private enum Part {
    case bytes([UInt8])
    case tensor(LazyTensor)
  }

  private var parts: [Part] = []
  /// Bytes of the whole message.
  private(set) var count = 0

  /// A whole number, from 0 on.
  mutating func add(_ field: Int, _ value: Int) { append(varint(field << 3) + varint(value)) }

  mutating func add(_ field: Int, _ value: Float) {
    append(varint(field << 3 | 5) + withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) })
  }

  mutating func add(_ field: Int, _ text: String) { add(field, bytes: Array(text.utf8)) }

  mutating func add(_ field: Int, bytes: [UInt8]) {
    append(varint(field << 3 | 2) + varint(bytes.count) + bytes)
  }

  mutating func add(_ field: Int, _ message: ProtobufMessage) {
    append(varint(field << 3 | 2) + varint(message.count))
    parts += message.parts
    count += message.count
  }

  /// A tensor's values in float32, as bytes.
  mutating func add(_ field: Int, valuesOf tensor: LazyTensor) {
    append(varint(field << 3 | 2) + varint(tensor.byteCount))
    parts.append(.tensor(tensor))
    count += tensor.byteCount
  }

  /// - Throws: `Failure` of `.inputOutput`, or what a tensor throws.
  func write(to path: String) throws {
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
