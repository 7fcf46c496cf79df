/// The exit status of every tool, after sysexits.h.
public enum ExitCode: Int32, Sendable {
  case success = 0
  /// Something anomalous was found, where the caller has asked to be told by the exit status.
  case anomalous = 1
  /// The command line was wrong.
  case usage = 64
  /// An input file or folder is bad: missing, empty, corrupt, of the wrong kind.
  case badData = 65
  /// A defect of this program, or numbers that are not finite.
  case internalError = 70
  /// The system did not give the memory that was needed.
  case noMemory = 71
  /// Reading or writing failed.
  case inputOutput = 74
  /// Stopped on request with a checkpoint written: run again to go on.
  case stoppedResumable = 75
  /// A rank or the network failed.
  case communication = 76
  /// The configuration is wrong.
  case configuration = 78
}

/// The one error type of the project: what went wrong, where, and what to do about it.
public struct Failure: Error, Sendable, CustomStringConvertible {
  public let code: ExitCode
  /// What is wrong, and where (file, key, layer, rank).
  public let message: String
  /// What the reader can do about it, when there is something.
  public let hint: String?
  /// Whether every rank of the job has this failure, so that all can end in order. Otherwise the one that has it must abort the job.
  public var isOnAllRanks: Bool
  /// Whether the reason is numbers that are not finite, and no defect of the program.
  public let isNotFinite: Bool

  public init(
    _ code: ExitCode, _ message: String, hint: String? = nil, isOnAllRanks: Bool = false, isNotFinite: Bool = false
  ) {
    self.code = code
    self.message = message
    self.hint = hint
    self.isOnAllRanks = isOnAllRanks
    self.isNotFinite = isNotFinite
  }

  /// A failure for numbers that are not finite. Its code is `internalError`.
  public static func notFinite(
    _ message: String, hint: String = "numbers that are not finite come from a diverged training or damaged weights",
    isOnAllRanks: Bool = false
  ) -> Failure {
    Failure(.internalError, message, hint: hint, isOnAllRanks: isOnAllRanks, isNotFinite: true)
  }

  public var description: String {
    hint.map { "\(message)\n  hint: \($0)" } ?? message
  }
}
