import Collectives
import Diagnostics
import Foundation
import Imagery

extension TrainingConfiguration {
  /// What ``category`` asks for: one run, or several.
  public var categories: CategorySelection { CategorySelection(category) ?? .single }

  /// The run of one of several categories.
  func ofCategory(_ name: String) -> TrainingConfiguration {
    var configuration = self
    configuration.category = name
    configuration.output = "\(output)/\(name)"
    configuration.metricsFile = metricsFile.map { file($0, ofCategory: name) }
    configuration.trace = trace.map { file($0, ofCategory: name) }
    configuration.ranksPerCategory = nil
    return configuration
  }

  /// `out/metrics.prom` of the category `bottle` is `out/metrics-bottle.prom`.
  private func file(_ path: String, ofCategory name: String) -> String {
    let url = URL(fileURLWithPath: path)
    let ending = url.pathExtension.isEmpty ? "" : ".\(url.pathExtension)"
    return "\(path.dropLast(ending.count))-\(name)\(ending)"
  }

  /// The names of the categories to train on, where there are several. Collective.
  /// - Throws: on all ranks the same `Failure(.badData)` where the data set has none, or not the same on all hosts.
  func categoryNames(over communicator: any Communicator) throws -> [String] {
    switch categories {
    case .single: return category.map { [$0] } ?? []
    case .listed(let names): return names
    case .all:
      let names = try communicator.agree {
        let names = try dataSet.categories()
        guard !names.isEmpty else {
          throw Failure(
            .badData, "\(data): there are no categories",
            hint: "a folder with train/good is one; a data set that is one category itself needs no --category")
        }
        return names
      }
      try communicator.compareAcrossRanks(names.joined(separator: ", "), what: "the categories of the data set")
      return names
    }
  }
}
