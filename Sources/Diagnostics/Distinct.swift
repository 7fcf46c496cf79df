extension Sequence where Element: Equatable {
  /// The elements without repetitions, in the order in which they first come. For few of them.
  package var distinct: [Element] { reduce(into: []) { if !$0.contains($1) { $0.append($1) } } }
}
