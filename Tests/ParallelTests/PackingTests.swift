import Foundation
import TestSupport
import Testing

private let shortly = ["--max-steps", "2", "--threads", "1"]

private func trainShortly(
  _ category: String, _ options: [String] = [], output: String, ranks: Int? = nil
) throws -> ToolProcess.Outcome {
  try Workplace.train(
    ["--data", Workplace.categories(), "--category", category] + shortly + options, output: output, ranks: ranks)
}

/// The runs of the categories alone, in a folder that looks as one of theirs together.
private let runsAlone = Shared {
  let folder = try TemporaryFolder()
  for category in ["a", "b", "c", "d"] {
    let outcome = try trainShortly(category, output: folder(category))
    try #require(outcome.code == 0, "\(outcome.errors)")
  }
  return folder
}

extension ParallelTests {
  /// Many categories in one job.
  @Suite(runsAlone) struct Packing {
    private struct Summary: Decodable {
      struct Category: Decodable {
        let category: String
        let result: String
        let steps: Int?
        let loss: Double?
        let message: String?
      }
      let categories: [Category]
      let exitCode: Int32

      init(_ output: String) throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        self = try decoder.decode(
          Self.self, from: Data(contentsOf: URL(fileURLWithPath: "\(output)/summary.json")))
      }

      var results: [String] { categories.map { "\($0.category) \($0.result)" } }
    }

    private static func checkpoint(_ output: String, _ category: String) -> String {
      "\(output)/\(category)/checkpoints/\(TrainedRun.name(2))"
    }

    @Test(arguments: [(3, 1), (4, 2)])
    func everyCategoryIsTheRunItIsAlone(ranks: Int, each: Int) throws {
      let (alone, folder) = (try runsAlone.get(), try TemporaryFolder())
      let outcome = try trainShortly(
        each == 1 ? "a, b, c, d" : "all", ["--ranks-per-category", "\(each)"], output: folder.path, ranks: ranks)
      try #require(outcome.code == 0, "\(outcome.errors)")
      for category in ["a", "b", "c", "d"] {
        #expect(
          try hash(ofFile: Self.checkpoint(folder.path, category))
            == hash(ofFile: Self.checkpoint(alone.path, category)))
        #expect(outcome.count(of: "\n\(category): checkpoint ") == 1, "\(outcome.errors)")
        let (own, expected) = (folder(category), alone(category))
        #expect(try TrainedRun.log("\(own)/log.jsonl") == TrainedRun.log("\(expected)/log.jsonl"))
        #expect(
          try FileManager.default.contentsOfDirectory(atPath: own).sorted()
            == FileManager.default.contentsOfDirectory(atPath: expected).sorted())
        let (text, other) = (
          try String(contentsOfFile: "\(own)/config.toml", encoding: .utf8),
          try String(contentsOfFile: "\(expected)/config.toml", encoding: .utf8)
        )
        #expect(text == other.replacingOccurrences(of: alone.path, with: folder.path))
      }
      let summary = try Summary(folder.path)
      #expect(summary.results == ["a done", "b done", "c done", "d done"] && summary.exitCode == 0)
      #expect(summary.categories.allSatisfy { $0.steps == 2 && $0.loss != nil && $0.message == nil })
    }

    @Test func aFailureOfOneCategoryLeavesTheOthersAlone() throws {
      let (alone, folder) = (try runsAlone.get(), try TemporaryFolder())
      let (data, output) = (folder("data"), folder("runs"))
      try FileManager.default.copyItem(atPath: Workplace.categories(), toPath: data)
      let image = "\(data)/c/train/good/003.png"
      try truncate(image)
      func train(ranks: Int?, _ options: [String] = []) throws -> ToolProcess.Outcome {
        try trainShortly("all", ["--data", data] + options, output: output, ranks: ranks)
      }

      // The second group has one rank.
      let broken = try train(ranks: 3, ["--ranks-per-category", "2"])
      #expect(broken.code == 65, "\(broken.errors)")
      #expect(broken.count(of: "\nc: error: ") == 1 && broken.count(of: "rd-train: ") == 1, "\(broken.errors)")
      #expect(broken.errors.contains("rd-train: 1 of 4 categories failed: c\n"), "\(broken.errors)")
      let failed = try Summary(output)
      #expect(failed.results == ["a done", "b done", "c failed", "d done"] && failed.exitCode == 65)
      #expect(failed.categories[2].message?.contains("c/train/good/003.png: ") == true)

      try FileManager.default.removeItem(atPath: image)
      try FileManager.default.copyItem(atPath: Workplace.categories() + "/c/train/good/003.png", toPath: image)
      let mended = try train(ranks: 2)
      #expect(mended.code == 0, "\(mended.errors)")
      #expect(try Summary(output).results == ["a already done", "b already done", "c done", "d already done"])
      #expect(try hash(ofFile: Self.checkpoint(output, "c")) == hash(ofFile: Self.checkpoint(alone.path, "c")))

      let again = try train(ranks: nil)
      #expect(again.code == 0 && again.count(of: ": already done") == 4, "\(again.errors)")
      #expect(!again.errors.contains("sha256"))
    }

    /// The signalled rank trains, or is the third for two categories and waits.
    @Test(arguments: [("all", 2, 1), ("a,b", 3, 2)])
    func aSignalToOneRankStopsAllGroups(category: String, ranks: Int, signalled: Int) throws {
      let folder = try TemporaryFolder()
      let endless = ["--epochs", "1000000", "--max-steps", "1000000", "--checkpoint-every", "1000000 epochs"]
      let tool = try Workplace.start(
        ["--data", Workplace.categories(), "--category", category, "--ranks-per-category", "1", "--threads", "1"]
          + endless, output: folder.path, ranks: ranks)
      for category in ["a", "b"] { try tool.waits(toSay: "\n\(category): step ") }
      try #require(kill(tool.processIdentifier(ofRank: signalled), SIGUSR1) == 0)
      let outcome = try tool.wait()
      #expect(outcome.code == 75, "\(outcome.errors)")
      let isIdle = signalled == 2
      // On a busy machine the third rank may be faster than another, which then waits instead.
      let bySignal = outcome.count(of: "stopped: stopped by SIGUSR1")
      #expect(bySignal == 1 || isIdle && bySignal == 0, "\(outcome.errors)")
      #expect(
        outcome.count(of: "stopped: stopped because another group of ranks was") == 2 - bySignal, "\(outcome.errors)")
      let summary = try Summary(folder.path)
      #expect(summary.results == (isIdle ? ["a", "b"] : ["a", "b", "c", "d"]).map { "\($0) stopped" })
      #expect(summary.exitCode == 75)
      for stopped in summary.categories.prefix(2) {
        let steps = try #require(stopped.steps)
        let file = "\(folder.path)/\(stopped.category)/checkpoints/\(TrainedRun.name(steps))"
        #expect(steps > 0 && FileManager.default.fileExists(atPath: file))
      }
      #expect(summary.categories.dropFirst(2).allSatisfy { $0.steps == nil })
    }

    @Test func aTeacherThatIsNotThereIsSaidOnce() throws {
      let folder = try TemporaryFolder()
      let outcome = try trainShortly("all", ["--teacher", "/nowhere.pth"], output: folder("runs"), ranks: 2)
      #expect(outcome.code == 65 && outcome.count(of: "/nowhere.pth: ") == 1, "\(outcome.errors)")
    }
  }
}
