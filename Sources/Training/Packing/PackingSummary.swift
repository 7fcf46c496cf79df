import Diagnostics
import FileSystem
import Foundation
import Jobs

/// How the training of all categories ended, for people, for programs, and as the end of the job.
struct PackingSummary: Encodable {
  /// In the order of the categories.
  let categories: [CategoryOutcome]
  /// What the job is to end with, if not in success.
  let failure: Failure?

  private enum CodingKeys: String, CodingKey { case categories, exitCode }

  /// - Parameters:
  ///   - names: all categories.
  ///   - outcomes: of those that some group took, in any order.
  ///   - path: where ``json()`` goes.
  init(_ names: [String], outcomes: [CategoryOutcome], path: String) {
    let known = Dictionary(uniqueKeysWithValues: outcomes.map { ($0.category, $0) })
    // Only a stop leaves categories in the queue.
    categories = names.map { name in
      known[name] ?? CategoryOutcome(name, Failure(.stoppedResumable, "the job was stopped before its turn"))
    }
    failure = Self.failure(categories, path: path)
  }

  private static func failure(_ categories: [CategoryOutcome], path: String) -> Failure? {
    let (failed, stopped) = (categories.filter { $0.result == .failed }, categories.filter { $0.result == .stopped })
    if !stopped.isEmpty {
      // There is work left, so whoever starts jobs again should do so, whatever has failed.
      return Failure(
        .stoppedResumable,
        "stopped: \(categories.count - failed.count - stopped.count) of \(categories.count) categories are done",
        hint: "the same command goes on with the others", isOnAllRanks: true)
    }
    if let first = failed.min(by: { ($0.ended ?? .distantFuture) < ($1.ended ?? .distantFuture) }) {
      return Failure(
        ExitCode(rawValue: first.exitCode) ?? .internalError,
        "\(failed.count) of \(categories.count) categories failed: \(failed.map(\.category).joined(separator: ", "))",
        hint: "\(path) says why; the same command tries them again and leaves the others as they are",
        isOnAllRanks: true)
    }
    return nil
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(categories, forKey: .categories)
    try container.encode((failure?.code ?? .success).rawValue, forKey: .exitCode)
  }

  /// - Throws: `Failure(.internalError)`.
  func json() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.dateEncodingStrategy = .iso8601
    do {
      return try Array(encoder.encode(self)) + [UInt8(ascii: "\n")]
    } catch {
      throw Failure(.internalError, "the summary of the categories: \(error)")
    }
  }

  /// A line a category, below a line of headings.
  var table: [String] {
    let rows =
      [["category", "result", "steps", "last loss", "minutes", ""]]
      + categories.map { outcome in
        [
          outcome.category, outcome.result.rawValue, outcome.steps.map(String.init) ?? "",
          outcome.loss.map { decimal($0, digits: 4) } ?? "", decimal(outcome.minutes, digits: 1),
          // The rest of a long message is in the file.
          String(outcome.message?.prefix { $0 != "\n" } ?? ""),
        ]
      }
    return alignedColumns(rows, numbers: 2..<5)
  }
}
