import Diagnostics
import Foundation

/// How the training of one of several categories ended.
struct CategoryOutcome: Codable, Equatable, Sendable {
  enum Result: String, Codable, Sendable {
    case done
    case alreadyDone = "already done"
    case failed, stopped
  }

  let category: String
  var result = Result.done
  /// Steps of its run so far; nil where it is not known.
  var steps: Int?
  /// Of the last of these steps.
  var loss: Double?
  /// Of this job.
  var minutes = 0.0
  var message: String?
  var exitCode = ExitCode.success.rawValue
  /// When this was known.
  var ended: Date?

  /// - Parameter failure: what it ended in, if not well.
  init(_ category: String, _ failure: Failure? = nil) {
    self.category = category
    if let failure { note(failure) }
  }

  mutating func note(losses: [Double]) {
    steps = losses.count
    loss = losses.last
  }

  mutating func note(_ failure: Failure) {
    result = failure.code == .stoppedResumable ? .stopped : .failed
    message = failure.message
    exitCode = failure.code.rawValue
  }
}
