import Diagnostics

/// The word that an option was given.
/// - Throws: `Failure(.usage)` with those that it takes.
package func word<Word: RawRepresentable & CaseIterable>(_ text: String, for option: String) throws -> Word
where Word.RawValue == String {
  if let word = Word(rawValue: text) { return word }
  let words = Word.allCases.map(\.rawValue)
  throw Failure(
    .usage, "\(option) \(text): must be \(words.joined(separator: " or "))",
    hint: suggestion(for: text, among: words).map { "did you mean \($0)?" })
}
