import FileSystem

/// Sorted keys in a file, which are taken from the front.
struct KeyQueue<Key: FixedWidthInteger & UnsignedInteger & BitwiseCopyable> {
  /// Where the keys begin, in bytes.
  private let start: Int
  /// The numbers of the keys that are left.
  private var left: Range<Int>

  /// Writes sorted keys at the end of a file of `end` bytes, which then is longer.
  /// - Throws: `Failure` of `.inputOutput`.
  init(_ keys: [Key], in file: borrowing OpenFile, end: inout Int) throws {
    start = end
    left = keys.indices
    try keys.withUnsafeBytes { try file.write($0, at: start) }
    end += keys.count * MemoryLayout<Key>.size
  }

  /// Takes the keys up to `last`, `last` included.
  /// - Returns: their numbers.
  /// - Throws: `Failure` of `.inputOutput`.
  mutating func take(through last: Key, in file: borrowing OpenFile) throws -> Range<Int> {
    var (low, high) = (left.lowerBound, left.upperBound)
    while low < high {
      let middle = (low + high) / 2
      if try keys(middle..<middle + 1, in: file)[0] <= last { low = middle + 1 } else { high = middle }
    }
    defer { left = low..<left.upperBound }
    return left.lowerBound..<low
  }

  /// The keys of these numbers, taken or not.
  /// - Throws: `Failure` of `.inputOutput`.
  func keys(_ numbers: Range<Int>, in file: borrowing OpenFile) throws -> [Key] {
    try [Key](unsafeUninitializedCapacity: numbers.count) { buffer, count in
      try read(numbers, in: file, into: UnsafeMutableBufferPointer(rebasing: buffer[..<numbers.count]))
      count = numbers.count
    }
  }

  /// Reads the keys of these numbers into a place for as many.
  /// - Throws: `Failure` of `.inputOutput`.
  func read(_ numbers: Range<Int>, in file: borrowing OpenFile, into place: UnsafeMutableBufferPointer<Key>) throws {
    let size = MemoryLayout<Key>.size
    try file.readAll(into: UnsafeMutableRawBufferPointer(place), at: start + numbers.lowerBound * size)
  }
}
