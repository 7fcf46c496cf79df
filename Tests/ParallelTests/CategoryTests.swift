import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// rd-eval with several categories.
  @Suite struct Categories {
    /// The data set under several names, and the standard run under some of them.
    private static func workplace(data: [String], runs: [String]) throws -> TemporaryFolder {
      let folder = try TemporaryFolder()
      let manager = FileManager.default
      for part in ["data", "runs"] {
        try manager.createDirectory(atPath: folder(part), withIntermediateDirectories: true)
      }
      for name in data {
        try manager.createSymbolicLink(
          atPath: folder("data/\(name)"), withDestinationPath: Workplace.data() + "/surface")
      }
      for name in runs {
        try manager.createSymbolicLink(atPath: folder("runs/\(name)"), withDestinationPath: Workplace.standard().path)
      }
      return folder
    }

    private static func evaluate(
      _ categories: String, ranks: Int? = nil, in folder: TemporaryFolder
    ) throws -> ToolProcess.Outcome {
      try ToolProcess.run(
        "rd-eval",
        [folder("runs"), "--data", folder("data"), "--category", categories, "--output", folder("out")], ranks: ranks)
    }

    private static func table(_ folder: TemporaryFolder) throws -> [String] {
      try String(contentsOfFile: folder("out/table.csv"), encoding: .utf8).split(separator: "\n").map(String.init)
    }

    @Test(arguments: [nil, 3])
    func allAreEvaluatedThatHaveARun(ranks: Int?) throws {
      let folder = try Self.workplace(data: ["wood", "bottle", "cable"], runs: ["bottle", "wood", "elsewhere"])
      let outcome = try Self.evaluate("all", ranks: ranks, in: folder)
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(outcome.count(of: "warning: cable: no run in \(folder("runs"))") == 1, "\(outcome.errors)")
      for name in ["bottle", "wood"] {
        for file in ["metrics.json", "scores.csv", "report.html", "overview.png", "maps/maps.h5"] {
          #expect(FileManager.default.fileExists(atPath: folder("out/\(name)/\(file)")), "\(name)/\(file)")
        }
      }
      #expect(
        try Self.table(folder).map { $0.prefix { $0 != "," } }
          == ["category", "wood", "bottle", "textures", "objects", "mean"])
      let single = try Evaluating.evaluated(Workplace.standard().path)
      let json = try JSONSerialization.jsonObject(
        with: Data(contentsOf: URL(fileURLWithPath: folder("out/table.json"))))
      let rows = try #require(json as? [String: [String: [String: Double]]])
      for row in try [#require(rows["categories"]), #require(rows["means"])].flatMap(\.values) {
        #expect(row == ["image_auroc", "pixel_auroc", "aupro"].reduce(into: [:]) { $0[$1] = single.number($1) })
      }
      #expect(outcome.errors.contains("image AUROC  pixel AUROC  AUPRO\n"))
      let names = try FileManager.default.contentsOfDirectory(atPath: folder("out")).sorted()
      #expect(names == ["bottle", "report.html", "table.csv", "table.json", "table.md", "wood"])
    }

    @Test(arguments: [nil, 2])
    func aCategoryThatFailsDoesNotStopTheOthers(ranks: Int?) throws {
      let folder = try Self.workplace(data: ["first", "last"], runs: ["first", "last"])
      try FileManager.default.createDirectory(atPath: folder("data/empty/test/good"), withIntermediateDirectories: true)
      for name in ["runs/empty", "out/empty"] {
        try FileManager.default.createDirectory(atPath: folder(name), withIntermediateDirectories: true)
      }
      // Of an earlier evaluation.
      try Data("{}".utf8).write(to: folder.url.appendingPathComponent("out/empty/metrics.json"))
      let outcome = try Self.evaluate("first,empty,norun,last", ranks: ranks, in: folder)
      #expect(outcome.code == 65, "\(outcome.errors)")
      #expect(outcome.count(of: "error: empty: ") == 1 && outcome.count(of: "holds no checkpoint") == 1)
      #expect(!FileManager.default.fileExists(atPath: folder("out/empty/metrics.json")))
      #expect(outcome.count(of: "error: norun: ") == 1 && outcome.count(of: "norun: No such file or directory") == 1)
      #expect(outcome.count(of: "2 of 4 categories could not be evaluated: empty, norun") == 1, "\(outcome.errors)")
      let lines = try Self.table(folder)
      #expect(lines.count == 6 && lines[2] == "empty,,," && lines[3] == "norun,,,")
      #expect(lines[1].dropFirst("first".count) == lines[4].dropFirst("last".count))
    }

    @Test func whatCannotBeMeantIsSaid() throws {
      let folder = try Self.workplace(data: ["first"], runs: [])
      let none = try Self.evaluate("all", ranks: 2, in: folder)
      #expect(none.code == 65 && none.count(of: "holds no run of a category") == 1, "\(none.errors)")
      for text in ["first,first", "first,", ",first", ""] {
        let outcome = try Self.evaluate(text, in: folder)
        #expect(outcome.code == 64 && outcome.count(of: "must be a name, different names with commas, or all") == 1)
      }
    }
  }
}
