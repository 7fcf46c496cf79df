import Diagnostics
import Foundation

extension Communicator {
  /// Lets all ranks go on, or all fail together. Collective.
  ///
  /// Where some rank brings an error, every rank throws the same `Failure`: that of the lowest such rank, with the rank and its host named
  /// where there are several ranks. So an input that is bad for one rank ends the job on all, named once.
  ///
  /// A `Failure(.communication)` is thrown at once without asking the others: they may be waiting in the call that failed, and only
  /// ``abort(_:)`` reaches them.
  /// - Returns: the value of this rank's result.
  public func agree<Value>(_ result: Result<Value, any Error>) throws -> Value {
    var report: [UInt8] = []
    if case .failure(let error) = result {
      var failure = error as? Failure ?? Failure(.internalError, "\(error)")
      if failure.code == .communication { throw failure }
      failure.isOnAllRanks = true
      if size == 1 { throw failure }
      let message = "rank \(rankInJob) (\(LaunchEnvironment.hostName)): \(failure.message)"
      report = try Array(
        JSONEncoder().encode(
          FailureReport(
            code: failure.code.rawValue, message: message, hint: failure.hint, isNotFinite: failure.isNotFinite)))
    }
    if let first = try allGather(report).first(where: { !$0.isEmpty }) {
      let report = try JSONDecoder().decode(FailureReport.self, from: Data(first))
      throw Failure(
        ExitCode(rawValue: report.code) ?? .internalError, report.message, hint: report.hint, isOnAllRanks: true,
        isNotFinite: report.isNotFinite)
    }
    return try result.get()
  }

  /// ``agree(_:)`` on what `body` returns or throws. It makes no collective calls that another rank might not make.
  public func agree<Value>(_ body: () throws -> Value) throws -> Value {
    try agree(Result(catching: body))
  }

  /// Makes sure that all ranks have the same text: the fingerprint of their data, the version of their program. Collective.
  /// - Parameters:
  ///   - text: what must be the same; one line.
  ///   - what: its name in the message, as in "the ranks differ in `what`".
  ///   - hint: what to do about it.
  /// - Throws: on every rank the same `Failure(.badData)`, which names the ranks and hosts that have each text.
  public func compareAcrossRanks(
    _ text: String, what: String,
    hint: String = "every host needs the same files and the same program: copy them, or use a shared file system"
  ) throws {
    // Their bytes: Swift takes texts of different ones for equal.
    let texts = try allGather(Array(text.utf8))
    guard texts.contains(where: { $0 != texts[0] }) else { return }
    let hosts = try hostNames()
    let numbers = try allGather(values: [rankInJob])
    let groups = texts.distinct.map { text in
      let ranks = texts.indices.filter { texts[$0] == text }
      return "\n  \(String(decoding: text, as: UTF8.self)): \(describe(ranks, numbers: numbers, hosts: hosts))"
    }
    throw Failure(.badData, "the ranks differ in \(what)" + groups.joined(), hint: hint, isOnAllRanks: true)
  }

  /// The host of each rank, by rank. Collective.
  public func hostNames() throws -> [String] {
    try allGather(text: LaunchEnvironment.hostName)
  }
}

/// Rank numbers under the names of their hosts: "ranks 0, 1 on a; rank 2 on b".
private func describe(_ ranks: [Int], numbers: [Int], hosts: [String]) -> String {
  ranks.map { hosts[$0] }.distinct.map { name in
    let numbers = ranks.filter { hosts[$0] == name }.map { String(numbers[$0]) }
    return "\(numbers.count == 1 ? "rank" : "ranks") \(numbers.joined(separator: ", ")) on \(name)"
  }
  .joined(separator: "; ")
}

/// A `Failure` on its way to the other ranks.
private struct FailureReport: Codable {
  var code: Int32
  var message: String
  var hint: String?
  var isNotFinite: Bool
}
