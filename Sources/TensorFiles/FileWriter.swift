import FileSystem

/// Writes one thing behind the other.
package struct FileWriter {
  package private(set) var offset = 0

  package init() {}

  package mutating func append(_ bytes: [UInt8], to file: borrowing OpenFile) throws {
    let place = offset
    offset += bytes.count
    try bytes.withUnsafeBytes { try file.write($0, at: place) }
  }

  /// A tensor's values in float32, little-endian.
  package mutating func append(_ tensor: LazyTensor, to file: borrowing OpenFile) throws {
    let values = try tensor.values()
    precondition(4 * values.count == tensor.byteCount)
    let place = offset
    offset += tensor.byteCount
    try values.withUnsafeBytes { try file.write($0, at: place) }
  }
}

extension LazyTensor {
  /// Of the values in float32.
  package var byteCount: Int { 4 * shape.reduce(1, *) }
}

package func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
  withUnsafeBytes(of: number.littleEndian) { Array($0) }
}
