import Foundation

/// A value from the JSON of a file, which may be damaged.
/// - Throws: `DecodingError`.
public func decodeJSON<Value: Decodable>(_: Value.Type, from bytes: some Sequence<UInt8>) throws -> Value {
  let json = Data(bytes)
  // The decoder of Swift 6.0 ends the process at an object's key that is no valid string.
  do {
    _ = try JSONSerialization.jsonObject(with: json)
  } catch {
    let reason = (error as NSError).userInfo[NSDebugDescriptionErrorKey] as? String ?? error.localizedDescription
    throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: reason, underlyingError: error))
  }
  return try JSONDecoder().decode(Value.self, from: json)
}
