/// A field of a CSV file, quoted where RFC 4180 asks for it.
public func csvField(_ field: String) -> String {
  // By bytes: in Swift "\r\n" is one character, which is neither "\r" nor "\n".
  let special = Set(",\"\r\n".utf8)
  return field.utf8.contains(where: special.contains) ? "\"\(field.replacing("\"", with: "\"\""))\"" : field
}

/// The records of a CSV file as RFC 4180 has them; lines may end in LF alone.
/// - Throws: `Failure` of `.badData` for quotes in the wrong place.
public func csvRecords(_ text: String, path: String) throws -> [[String]] {
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
