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

/// Reads a value from a JSON file.
/// - Throws: `Failure` of `.badData` where the file is missing or is not what is expected, of `.inputOutput` where it cannot be read.
func readJSON<Value: Decodable>(_: Value.Type, from path: String) throws -> Value {
  let bytes = try readFile(path)
  do {
    return try decodeJSON(Value.self, from: bytes)
  } catch {
    throw Failure(.badData, "\(path): not as rd-eval writes it: \(error)", hint: "run rd-eval again")
  }
}
