import Diagnostics
import FileSystem
import Metrics

/// What rd-eval wrote to a folder, for one test set or for several categories.
public struct EvaluatedRun: Sendable {
  struct TestSet: Sendable {
    let metrics: DetectionMetrics
    let images: [ScoreTable.Row]
  }

  /// The folder, as it was given.
  public let name: String
  /// By their categories; a single test set that has none is called `whole`.
  let sets: [String: TestSet]
  let isSingle: Bool
  /// Of a single test set that has one.
  var category: String? { isSingle ? sets.keys.first { $0 != Self.whole } : nil }

  static let whole = "test set"

  /// - Throws: `Failure` of `.badData` where the folder does not hold what rd-eval writes.
  public init(_ folder: String) throws {
    name = folder
    isSingle = isFile("\(folder)/metrics.json")
    if isSingle {
      let category = try readJSON(Category.self, from: "\(folder)/metrics.json").category
      sets = [category ?? Self.whole: try Self.testSet(in: folder)]
    } else {
      let categories = try namesInFolder(folder).filter { isFile("\(folder)/\($0)/metrics.json") }
      guard !categories.isEmpty else {
        throw Failure(
          .badData, "\(folder): holds no metrics.json, and no folder in it does",
          hint: "give a folder that rd-eval wrote to (--output)")
      }
      sets = try Dictionary(uniqueKeysWithValues: categories.map { ($0, try Self.testSet(in: "\(folder)/\($0)")) })
    }
  }

  private struct Category: Decodable { let category: String? }

  private static func testSet(in folder: String) throws -> TestSet {
    TestSet(
      metrics: try readJSON(DetectionMetrics.self, from: "\(folder)/metrics.json"),
      // In one order, so that images of several runs stand side by side.
      images: try ScoreTable.read(from: "\(folder)/scores.csv").sorted { precedesInBytes($0.path, $1.path) })
  }
}
