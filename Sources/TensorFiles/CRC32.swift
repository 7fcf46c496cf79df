/// The CRC-32 of ZIP (polynomial 0xEDB88320, reflected), eight bytes at a time.
enum CRC32 {
  /// At `256 * k + b`: what byte `b` with `k` zero bytes behind it does to the checksum.
  private static let table: [UInt32] = {
    var table = (0..<256).map { byte in
      (0..<8).reduce(UInt32(byte)) { value, _ in value >> 1 ^ (value & 1 == 0 ? 0 : 0xEDB8_8320) }
    }
    for index in 256..<8 * 256 {
      let before = table[index - 256]
      table.append(before >> 8 ^ table[Int(before & 255)])
    }
    return table
  }()

  static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
    table.withUnsafeBufferPointer { table in
      var value = ~UInt32(0)
      var position = 0
      while position + 8 <= bytes.count {
        let word =
          UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)) ^ UInt64(value)
        value = 0
        for byte in 0..<8 { value ^= table[(7 - byte) << 8 | Int(word >> UInt64(8 * byte) & 255)] }
        position += 8
      }
      while position < bytes.count {
        value = value >> 8 ^ table[Int((value ^ UInt32(bytes[position])) & 255)]
        position += 1
      }
      return ~value
    }
  }
}
