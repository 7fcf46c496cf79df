import Foundation
import Testing

@testable import Checkpoints

/// docs/checkpoint-format.md and the files that are written name the same things.
@Suite struct DocumentedFormatTests {
  /// Groups whose datasets are tensors.
  private static let tensorGroups = ["model/", "optimizer/first_moment/", "optimizer/second_moment/", "teacher/"]
  private static let statistics = [
    "@count", "@mean", "@standard_deviation", "@minimum", "@maximum", "@quantiles", "@quantile_probabilities",
  ]

  /// The names in the document's table, and which of them are statistics.
  private static func documented() throws -> (names: [String], statistics: [String]) {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("docs/checkpoint-format.md")
    let text = try String(contentsOf: file, encoding: .utf8)
    for name in statistics { #expect(text.contains("`\(name)`"), "\(name)") }
    let rows = text.matches(of: /(?m)^\| `([^`]+)` \| ([^|]+) \|/).map { (String($0.1), String($0.2)) }
    #expect(rows.count > 20)
    return (rows.map(\.0), rows.filter { $0.1 == "statistics" }.map(\.0))
  }

  /// Whether there is something of this path below a group.
  private static func has(_ path: Substring, in group: HDF5Group) throws -> Bool {
    if path.isEmpty { return true }
    if path.hasPrefix("@") {
      let name = String(path.dropFirst())
      return (try? group.text(attribute: name)) != nil || (try? group.integer(attribute: name)) != nil
        || (try? group.numbers(attribute: name, as: Double.self)) != nil
    }
    guard let slash = path.firstIndex(of: "/") else { return try group.has(String(path)) }
    let name = String(path[..<slash])
    guard try group.has(name) else { return false }
    return try group.readGroup(name) { try has(path[path.index(after: slash)...], in: $0) }
  }

  /// The paths of all groups and datasets below a group, tensors left out.
  private static func paths(in group: HDF5Group, below path: String = "") throws -> [String] {
    if tensorGroups.contains(path) { return [] }
    return try group.names().flatMap { name in
      // A dataset cannot be opened as a group.
      guard let inner = try? group.readGroup(name, body: { try paths(in: $0, below: "\(path)\(name)/") }) else {
        return [path + name]
      }
      return ["\(path)\(name)/"] + inner
    }
  }

  @Test func theDocumentNamesWhatIsInAFile() throws {
    let (names, statistics) = try Self.documented()
    let file = try memoryFile(State().encoded())
    try HDF5File.read(file) { root in
      for name in names { #expect(try Self.has(name[...], in: root), "\(name) is documented, and in no file") }
      for group in statistics {
        for name in Self.statistics { #expect(try Self.has("\(group)\(name)"[...], in: root), "\(group)\(name)") }
      }
      // These are named together with others.
      let known = Set(names + ["progress/", "optimizer/", "normal_statistics/scale_2/", "normal_statistics/scale_3/"])
      let found = try Self.paths(in: root)
      #expect(found.count > 10)
      for path in found { #expect(known.contains(path), "\(path) is in the file, and not documented") }
    }
  }
}
