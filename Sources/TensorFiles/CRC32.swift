import CZlib

/// The checksum of ZIP's entries, by zlib.
enum CRC32 {
  static func checksum(of bytes: UnsafeRawBufferPointer) -> UInt32 {
    UInt32(crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
  }
}
