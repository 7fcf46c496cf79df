/// Damages a file's bytes in one of the ways that find faults in readers.
public func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
  guard !bytes.isEmpty else { return }
  let place = Int.random(in: bytes.indices, using: &random)
  switch Int.random(in: 0..<7, using: &random) {
  case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
  case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
  case 2:
    // A number at its limits, where a size may stand.
    let limit = ([0, 0x7F, 0x80, 0xFF] as [UInt8])[Int.random(in: 0..<4, using: &random)]
    for index in place..<min(place + (1 << Int.random(in: 0...3, using: &random)), bytes.count) { bytes[index] = limit }
  case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
  case 4: bytes.remove(at: place)
  case 5: bytes.removeLast(bytes.count - place)
  default:
    // Part of the file, once more elsewhere.
    let part = bytes[place..<min(place + Int.random(in: 1...40, using: &random), bytes.count)]
    bytes.insert(contentsOf: Array(part), at: Int.random(in: bytes.indices, using: &random))
  }
}

/// The checksum of PNG's chunks and ZIP's entries.
public func crc32(_ bytes: some Sequence<UInt8>) -> UInt32 {
  ~bytes.reduce(~0) { sum, byte in
    (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xEDB8_8320 : sum >> 1 }
  }
}
