/// How an anomaly map becomes the score of its image.
public enum ImageScore: String, CaseIterable, Codable, Sendable {
  /// The largest value: the paper's score for finding defects.
  case maximum = "max"
  /// The sum of all values: for novelty detection, where the whole image differs.
  case sum

  /// - Parameter map: an anomaly map, at least one value.
  /// - Returns: the score; NaN where the map holds one.
  public func callAsFunction(_ map: [Float]) -> Double {
    precondition(!map.isEmpty, "an empty anomaly map has no score")
    switch self {
    case .maximum:
      var highest = -Float.infinity
      var hasNaN = false
      for value in map {
        hasNaN = hasNaN || value.isNaN
        highest = value > highest ? value : highest
      }
      return hasNaN ? .nan : Double(highest)
    case .sum:
      return map.reduce(0) { $0 + Double($1) }
    }
  }
}
