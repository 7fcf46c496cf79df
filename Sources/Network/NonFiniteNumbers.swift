/// Numbers of a step that are not finite. All ranks find them at once, before a parameter is touched.
public struct NonFiniteNumbers: Error {
  /// Where they are, such as "layer bn.bn1".
  public let place: String
  /// Which of this rank's images in the step have such numbers there; nil where it is not known which.
  public let images: [Int]?

  package init(place: String, images: [Int]?) {
    self.place = place
    self.images = images
  }
}

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
