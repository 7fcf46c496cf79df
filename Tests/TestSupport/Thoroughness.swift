import Foundation

/// How much the tests of faults do: a sample by default, with fixed seeds, and all of it where RD_FAULTS is "all" (scripts/test-faults).
public enum Thoroughness {
  public static let isFull = ProcessInfo.processInfo.environment["RD_FAULTS"] == "all"

  /// The number of cases: all, or those of the sample.
  public static func count(_ all: Int, sample: Int) -> Int { isFull ? all : sample }

  /// Prints what was counted, for the pages that give it.
  public static func report(_ text: String) { print("faults: \(text)") }
}
