import Foundation

/// Reads a JSON file that one of scripts/fixtures wrote.
/// - Parameter bundle: that of the test target.
public func fixture<Content: Decodable>(
  _ name: String, in bundle: Bundle, as type: Content.Type = Content.self
) throws -> Content {
  guard let url = bundle.url(forResource: name, withExtension: "json", subdirectory: "Fixtures") else {
    throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: "Fixtures/\(name).json"])
  }
  return try JSONDecoder().decode(Content.self, from: Data(contentsOf: url))
}

extension Data {
  /// The numbers whose bytes these are.
  public func numbers<Number: BitwiseCopyable>(_ type: Number.Type = Number.self) -> [Number] {
    withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: MemoryLayout<Number>.stride).map {
        bytes.loadUnaligned(fromByteOffset: $0, as: Number.self)
      }
    }
  }
}
