import Foundation
import Synchronization

/// The largest errors that tests meet, printed as they grow where RD_MEASURE is set: what tolerances are chosen by.
public enum Measured {
  private static let largest = Mutex<[String: Double]>([:])
  private static let isWanted = ProcessInfo.processInfo.environment["RD_MEASURE"] != nil

  public static func note(_ what: String, _ error: Double) {
    guard isWanted else { return }
    largest.withLock { largest in
      guard !(error <= largest[what, default: -1]) else { return }
      largest[what] = error
      print("measured \(what): \(error)")
    }
  }
}
