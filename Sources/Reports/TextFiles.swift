import Diagnostics
import FileSystem
import Foundation

/// Writes a value as JSON, indented and with sorted keys. The file is there whole or not at all.
/// - Throws: `Failure` of `.inputOutput` where it cannot be written, of `.internalError` for a number that is not finite.
func writeJSON(_ value: some Encodable, to path: String) throws {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
  let json: Data
  do {
    json = try encoder.encode(value)
  } catch {
    throw Failure(.internalError, "\(path): the metrics cannot be written as JSON: \(error)")
  }
  try writeFile(path, bytes: json + [UInt8(ascii: "\n")])
}

/// A field of a CSV file, quoted where RFC 4180 asks for it.
public func csvField(_ field: String) -> String {
  // By bytes: in Swift "\r\n" is one character, which is neither "\r" nor "\n".
  let special = Set(",\"\r\n".utf8)
  return field.utf8.contains(where: special.contains) ? "\"\(field.replacing("\"", with: "\"\""))\"" : field
}
