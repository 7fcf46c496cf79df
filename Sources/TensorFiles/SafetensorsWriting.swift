import FileSystem
import Foundation

extension TensorFile {
  /// Writes a `.safetensors` file of float32. No more than one tensor need be in memory.
  /// - Throws: `Failure` of `.inputOutput`, or what a tensor throws.
  public static func write(_ tensors: [LazyTensor], toSafetensors path: String, metadata: [String: String] = [:]) throws
  {
    var header: [String: SafetensorsEntry] = [:]
    var end = 0
    for tensor in tensors {
      let start = end
      end += tensor.byteCount
      header[tensor.name] = SafetensorsEntry(shape: tensor.shape, offsets: [start, end])
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    // An object of entries, and one more member of another type.
    var text = String(decoding: try encoder.encode(header), as: UTF8.self)
    if !metadata.isEmpty {
      let extra = String(decoding: try encoder.encode(metadata), as: UTF8.self)
      text = "{\"__metadata__\":\(extra)\(header.isEmpty ? "" : ",")" + text.dropFirst()
    }
    // So that the data begins at a multiple of 8.
    let bytes = Array(text.utf8) + Array(repeating: UInt8(ascii: " "), count: (8 - text.utf8.count % 8) % 8)
    try writeFile(path) { file in
      var writer = FileWriter()
      try writer.append(littleEndian(UInt64(bytes.count)) + bytes, to: file)
      for tensor in tensors { try writer.append(tensor, to: file) }
    }
  }
}

private struct SafetensorsEntry: Encodable {
  let dtype = "F32"
  let shape: [Int]
  let offsets: [Int]

  enum CodingKeys: String, CodingKey {
    case dtype, shape
    case offsets = "data_offsets"
  }
}
