/// The bits of the largest magnitude among some numbers; those of infinity and NaN are larger than all others.
package func largestMagnitude(_ values: UnsafePointer<Float>, count: Int) -> UInt32 {
  var largest: UInt32 = 0
  for index in 0..<count { largest = max(largest, values[index].bitPattern & 0x7FFF_FFFF) }
  return largest
}

/// Whether some numbers are all finite.
package func areFinite(_ values: UnsafePointer<Float>, count: Int) -> Bool {
  largestMagnitude(values, count: count) < Float.infinity.bitPattern
}
