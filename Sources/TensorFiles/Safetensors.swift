import Diagnostics
import FileSystem
import Foundation

/// The safetensors format: the header's length in 8 bytes, a JSON header that says where each tensor lies, then the tensors' bytes,
/// without gaps or overlaps (https://github.com/huggingface/safetensors#format).
enum Safetensors {
  /// The format's own limit.
  private static let largestHeader = 100_000_000

  static func recognises(_ file: FileBytes) -> Bool {
    guard let length = try? file.load(UInt64.self, at: 0), length <= UInt64(largestHeader),
      let first = try? file.load(UInt8.self, at: 8)
    else { return false }
    return first == UInt8(ascii: "{")
  }

  static func read(_ file: FileBytes) throws -> [NamedTensor] {
    let headerSize = try file.loadSize(at: 0, "the header's length")
    let header: Header
    do {
      header = try decodeJSON(Header.self, from: file.slice(at: 8, count: headerSize))
    } catch let failure as Failure {
      throw failure
    } catch {
      throw file.failure("the safetensors header is malformed: \(reason(error))", at: 8)
    }

    let start = 8 + headerSize
    var end = start
    let tensors = try header.entries.sorted { ($0.value.begin, $0.value.end) < ($1.value.begin, $1.value.end) }.map {
      name, entry in
      let title = "tensor \(quoted(name))"
      guard let type = ElementType(safetensors: entry.dtype) else {
        throw file.failure("\(title) has the unsupported number type \(quoted(entry.dtype))")
      }
      guard entry.shape.count <= TensorLayout.mostDimensions else {
        throw file.failure("\(title) has \(entry.shape.count) dimensions")
      }
      guard let layout = TensorLayout(type: type, shape: entry.shape), layout.count <= file.count / type.size,
        entry.begin == end - start, entry.end >= entry.begin, entry.end - entry.begin == layout.count * type.size
      else {
        throw file.failure(
          "\(title) of shape \(entry.shape) and type \(entry.dtype) is said to lie at bytes \(entry.begin) to \(entry.end) of the data,"
            + " where the data before it ends at \(end - start)")
      }
      let bytes = try file.slice(at: end, count: layout.count * type.size)
      end += bytes.count
      return NamedTensor(name: name, shape: layout.shape, values: layout.values(in: bytes))
    }
    guard end == file.count else { throw file.failure("\(file.count - end) bytes belong to no tensor", at: end) }
    return tensors
  }

  private static func reason(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    switch error {
    case .dataCorrupted(let context), .keyNotFound(_, let context), .typeMismatch(_, let context),
      .valueNotFound(_, let context):
      let path = context.codingPath.map { quoted($0.stringValue) }.joined(separator: ", ")
      return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
    @unknown default: return "\(error)"
    }
  }
}

private struct Header: Decodable {
  struct Entry: Decodable {
    let dtype: String
    let shape: [Int]
    let begin: Int
    let end: Int

    enum CodingKeys: String, CodingKey {
      case dtype, shape
      case offsets = "data_offsets"
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: CodingKeys.self)
      dtype = try values.decode(String.self, forKey: .dtype)
      shape = try values.decode([Int].self, forKey: .shape)
      let offsets = try values.decode([Int].self, forKey: .offsets)
      guard offsets.count == 2, offsets.allSatisfy({ $0 >= 0 }) else {
        throw DecodingError.dataCorruptedError(
          forKey: .offsets, in: values, debugDescription: "two offsets are expected, not \(offsets.prefix(3))")
      }
      (begin, end) = (offsets[0], offsets[1])
    }
  }

  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  let entries: [String: Entry]

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Name.self)
    var entries: [String: Entry] = [:]
    for name in values.allKeys where name.stringValue != "__metadata__" {
      entries[name.stringValue] = try values.decode(Entry.self, forKey: name)
    }
    self.entries = entries
  }
}

extension ElementType {
  fileprivate init?(safetensors name: String) {
    switch name {
    case "F64": self = .float64
    case "F32": self = .float32
    case "F16": self = .float16
    case "BF16": self = .bfloat16
    case "I64": self = .int64
    case "I32": self = .int32
    case "I16": self = .int16
    case "I8": self = .int8
    case "U64": self = .uint64
    case "U32": self = .uint32
    case "U16": self = .uint16
    case "U8": self = .uint8
    case "BOOL": self = .bool
    default: return nil
    }
  }
}
