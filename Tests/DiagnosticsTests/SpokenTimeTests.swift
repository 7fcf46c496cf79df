import Diagnostics
import Testing

@Suite struct SpokenTimeTests {
  @Test(arguments: [
    (0.4, "0 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7260, "2 h 1 min"),
    // What no counter of seconds holds.
    (1e19, "2562047788015215 h 30 min"), (.infinity, "2562047788015215 h 30 min"), (.nan, "2562047788015215 h 30 min"),
  ])
  func timesAreForPeople(seconds: Double, text: String) { #expect(spoken(seconds) == text) }
}
