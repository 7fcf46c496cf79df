/// The word that a misspelt one was probably meant to be, if one is near: at most a third of its letters differ.
///
/// - Parameters:
///   - word: what was written.
///   - known: the words that would be right.
/// - Returns: the nearest of `known`, the first of equals.
public func suggestion(for word: String, among known: [String]) -> String? {
  let nearest = known.map { (word: $0, distance: editDistance(word.lowercased(), $0.lowercased())) }
    .min { $0.distance < $1.distance }
  guard let nearest, nearest.distance <= max(1, max(word.count, nearest.word.count) / 3) else { return nil }
  return nearest.word
}

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to turn `a` into `b`
/// (Damerau's distance, restricted to one edit a place).
func editDistance(_ a: String, _ b: String) -> Int {
  let (a, b) = (Array(a), Array(b))
  var beforePrevious: [Int] = []
  var previous = Array(0...b.count)
  for i in a.indices {
    var current = [i + 1]
    for j in b.indices {
      var distance = min(previous[j + 1] + 1, current[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        distance = min(distance, beforePrevious[j - 1] + 1)
      }
      current.append(distance)
    }
    (beforePrevious, previous) = (previous, current)
  }
  return previous[b.count]
}
