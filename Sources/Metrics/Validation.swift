import Diagnostics

func requireFinite(_ values: [Double], _ what: String) throws {
  if let index = values.firstIndex(where: { !$0.isFinite }) {
    throw Failure.notFinite("metrics: \(what) must be finite, but number \(index) is \(values[index])")
  }
}

/// Takes an anomaly map of the given size whose scores are all finite, and no other.
func requireMap(_ map: [Float], width: Int, height: Int) throws {
  guard width > 0, height > 0, map.count == width * height else {
    throw Failure(.badData, "metrics: an anomaly map of \(map.count) pixels is not \(width) x \(height)")
  }
  // Magnitudes order as their bits do, infinity and NaN last; a maximum without branches is fast.
  guard map.reduce(0, { max($0, $1.magnitude.bitPattern) }) < Float.infinity.bitPattern else {
    throw Failure.notFinite("metrics: an anomaly map holds scores that are not finite")
  }
}
