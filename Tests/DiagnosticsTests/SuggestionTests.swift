import Testing

@testable import Diagnostics

@Suite struct SuggestionTests {
  @Test(arguments: [
    ("", "", 0), ("a", "", 1), ("", "abc", 3), ("kitten", "sitting", 3), ("epcohs", "epochs", 1), ("ab", "ba", 1),
    ("abcd", "badc", 2), ("batchsize", "batch_size", 1), ("same", "same", 0), ("flaw", "lawn", 2),
  ])
  func editDistances(a: String, b: String, distance: Int) {
    #expect(editDistance(a, b) == distance)
    #expect(editDistance(b, a) == distance)
  }

  @Test func onlyNearWordsAreSuggested() {
    let known = ["epochs", "batch_size", "seed", "loss"]
    #expect(suggestion(for: "epoch", among: known) == "epochs")
    #expect(suggestion(for: "Batch-Size", among: known) == "batch_size")
    #expect(suggestion(for: "sed", among: known) == "seed")
    #expect(suggestion(for: "momentum", among: known) == nil)
    #expect(suggestion(for: "x", among: []) == nil)
  }
}
