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
func csvField(_ field: String) -> String {
  // By bytes: in Swift "\r\n" is one character, which is neither "\r" nor "\n".
  let special = Set(",\"\r\n".utf8)
  return field.utf8.contains(where: special.contains) ? "\"\(field.replacing("\"", with: "\"\""))\"" : field
}

/// The records of a CSV file as RFC 4180 has them; lines may end in LF alone.
/// - Throws: `Failure` of `.badData` for quotes in the wrong place.
func csvRecords(_ text: String, path: String) throws -> [[String]] {
  var records: [[String]] = []
  var (record, field): ([String], [UInt8]) = ([], [])
  var (isQuoted, wasQuoted) = (false, false)
  func failure() -> Failure { Failure(.badData, "\(path): record \(records.count + 1): a quote in the wrong place") }
  func end() {
    record.append(String(decoding: field, as: UTF8.self))
    (field, wasQuoted) = ([], false)
  }
  var bytes = Array(text.utf8)[...]
  while let byte = bytes.popFirst() {
    switch byte {
    case UInt8(ascii: "\"") where isQuoted:
      if bytes.first == byte { field.append(bytes.removeFirst()) } else { isQuoted = false }
    case _ where isQuoted: field.append(byte)
    case UInt8(ascii: "\""):
      guard field.isEmpty, !wasQuoted else { throw failure() }
      (isQuoted, wasQuoted) = (true, true)
    case UInt8(ascii: ","): end()
    case UInt8(ascii: "\r") where bytes.first == UInt8(ascii: "\n"): break
    case UInt8(ascii: "\n"):
      end()
      records.append(record)
      record = []
    default:
      if wasQuoted { throw failure() }
      field.append(byte)
    }
  }
  if isQuoted { throw failure() }
  if !field.isEmpty || !record.isEmpty || wasQuoted {
    end()
    records.append(record)
  }
  return records
}

/// Reads a value from a JSON file.
/// - Throws: `Failure` of `.badData` where the file is missing or is not what is expected, of `.inputOutput` where it cannot be read.
func readJSON<Value: Decodable>(_: Value.Type, from path: String) throws -> Value {
  let bytes = try readFile(path)
  do {
    return try JSONDecoder().decode(Value.self, from: Data(bytes))
  } catch {
    throw Failure(.badData, "\(path): not as rd-eval writes it: \(error)", hint: "run rd-eval again")
  }
}
