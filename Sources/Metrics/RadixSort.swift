/// Sorts by the given bits of each key, least significant digit first: linear time, and stable.
func radixSort<Key: FixedWidthInteger & UnsignedInteger>(_ keys: inout [Key], bits: Range<Int>) {
  guard keys.count > 1 else { return }
  let digitWidth = 11
  var sorted = [Key](unsafeUninitializedCapacity: keys.count) { _, count in count = keys.count }
  for shift in stride(from: bits.lowerBound, to: bits.upperBound, by: digitWidth) {
    let mask = 1 << min(digitWidth, bits.upperBound - shift) - 1
    let shift = Key(shift)
    var next = [Int](repeating: 0, count: mask + 1)
    for key in keys { next[Int(truncatingIfNeeded: key &>> shift) & mask] += 1 }
    if next.contains(keys.count) { continue }  // all keys share this digit
    var start = 0
    for digit in next.indices {
      (next[digit], start) = (start, start + next[digit])
    }
    for key in keys {
      let digit = Int(truncatingIfNeeded: key &>> shift) & mask
      sorted[next[digit]] = key
      next[digit] += 1
    }
    swap(&keys, &sorted)
  }
}

// A float's bits become an unsigned integer of the same order when the sign bit of the positive ones and all bits of
// the negative ones are flipped. Adding zero turns -0 into +0, which compare equal and so must have equal bits.

extension Float {
  var orderedBits: UInt32 {
    let bits = (self + 0).bitPattern
    return bits ^ (UInt32(bitPattern: Int32(bitPattern: bits) >> 31) | 0x8000_0000)
  }
}

extension Double {
  var orderedBits: UInt64 {
    let bits = (self + 0).bitPattern
    return bits ^ (UInt64(bitPattern: Int64(bitPattern: bits) >> 63) | 0x8000_0000_0000_0000)
  }

  init(orderedBits key: UInt64) {
    self.init(bitPattern: key ^ (key >> 63 == 1 ? 0x8000_0000_0000_0000 : .max))
  }
}
