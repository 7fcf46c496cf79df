import Foundation
import Testing

/// Reads a file written by scripts/fixtures/metrics.py.
func fixture<Content: Decodable>(_ name: String, as type: Content.Type = Content.self) throws -> Content {
  let url = try #require(Bundle.module.url(forResource: name, withExtension: "json", subdirectory: "Fixtures"))
  return try JSONDecoder().decode(Content.self, from: Data(contentsOf: url))
}

extension Data {
  /// The numbers whose bytes these are.
  func numbers<Number: BitwiseCopyable>(_ type: Number.Type = Number.self) -> [Number] {
    withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: MemoryLayout<Number>.stride).map {
        bytes.loadUnaligned(fromByteOffset: $0, as: Number.self)
      }
    }
  }

  var flags: [Bool] { map { $0 != 0 } }
}

extension Array {
  func chunks(of length: Int) -> [[Element]] {
    stride(from: 0, to: count, by: length).map { Array(self[$0..<$0 + length]) }
  }
}

func isClose(_ value: Double?, _ expected: Double?, within tolerance: Double = 1e-9) -> Bool {
  guard let value, let expected else { return value == nil && expected == nil }
  return abs(value - expected) <= tolerance * max(1, abs(expected))
}
