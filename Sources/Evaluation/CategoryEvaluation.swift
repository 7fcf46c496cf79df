import Collectives
import Diagnostics
import FileSystem
import Imagery
import Jobs
import Metrics
import Reports

/// Evaluates categories one after the other, each on all ranks, and brings them together in a table.
public struct CategoryEvaluation {
  private let options: EvaluationOptions
  private let communicator: any Communicator
  private let console: Console
  private let categories: [String]

  /// Collective.
  /// - Parameters:
  ///   - options: for all categories: `checkpoint` holds a run's folder of each category's name, `output` will hold one for the results of each.
  ///   - categories: their names; nil for all that have test images and a run.
  /// - Throws: on all ranks the same `Failure`: `.badData` where there is no category.
  public init(
    _ options: EvaluationOptions, categories: [String]?, over communicator: any Communicator, console: Console
  ) throws {
    self.options = options
    self.communicator = communicator
    self.console = console
    self.categories = try communicator.agree {
      if let categories { return categories }
      let tested = try options.dataSet.testedCategories()
      let chosen = tested.filter { isFolder("\(options.detector.checkpoint)/\($0)") }
      guard !chosen.isEmpty else {
        throw Failure(
          .badData, "\(options.detector.checkpoint): holds no run of a category of \(options.dataName)",
          hint: "expected are RUNS/NAME, which rd-train wrote to; the categories with test images are "
            + (tested.isEmpty ? "none" : tested.joined(separator: ", ")))
      }
      let without = tested.filter { !chosen.contains($0) }
      if !without.isEmpty {
        console.warn("\(without.joined(separator: ", ")): no run in \(options.detector.checkpoint); left out")
      }
      return chosen
    }
    try communicator.compareAcrossRanks(self.categories.joined(separator: ", "), what: "the categories")
  }

  /// Writes each category's results to a folder of its name, and `report.html`, `table.json`, `table.csv` and `table.md`. Collective.
  ///
  /// A category that cannot be evaluated is reported, and the others are evaluated all the same.
  /// - Throws: on all ranks the same `Failure`, at the end: it has the code of the first category that failed.
  public func evaluate() throws {
    var rows: [CategoryTable.Row] = []
    var failures: [(category: String, failure: Failure)] = []
    for (index, category) in categories.enumerated() {
      console.say("\(category) (\(index + 1)/\(categories.count))")
      var measures = CategoryTable.Measures(imageAUROC: nil, pixelAUROC: nil, aupro: nil)
      do {
        let metrics = try evaluate(category).overall
        measures = CategoryTable.Measures(
          imageAUROC: metrics.imageAUROC, pixelAUROC: metrics.pixelAUROC, aupro: metrics.aupro)
      } catch let failure as Failure where failure.isOnAllRanks {
        console.error("\(category): \(failure)")
        // What stands there of an earlier evaluation is not of this one.
        let metrics = "\(options.output)/\(category)/metrics.json"
        try communicator.agree { if communicator.rank == 0, isFile(metrics) { try removeFile(metrics) } }
        failures.append((category, failure))
      }
      rows.append(CategoryTable.Row(name: category, measures: measures))
    }
    let table = CategoryTable(rows)
    try communicator.agree {
      guard communicator.rank == 0 else { return }
      try makeFolder(options.output)
      try table.write(to: options.output)
    }
    console.say(table.text)
    console.say("report.html, table.json, table.csv, table.md and a folder for each category are in \(options.output)")
    if let first = failures.first {
      throw Failure(
        first.failure.code,
        "\(failures.count) of \(categories.count) categories could not be evaluated: "
          + failures.map(\.category).joined(separator: ", "),
        hint: "the messages above say why", isOnAllRanks: true)
    }
  }

  private func evaluate(_ category: String) throws -> Evaluation {
    var options = options
    options.detector.checkpoint += "/\(category)"
    options.category = category
    options.output += "/\(category)"
    return try Evaluator(options, over: communicator, console: console).evaluate()
  }
}
