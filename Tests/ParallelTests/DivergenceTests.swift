import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Runs whose weights are finite and whose scores are not: training normalises by its batch, scoring by averages that lag behind.
  @Suite struct Divergence {
    private static let options = ["--learning-rate", "1000", "--threads", "1"]
    private static let complaint = "the scores of these normal images are not finite: "

    /// What was trained is written, without the statistics; the same command only tries to take them again.
    @Test func theLastCheckpointIsWritten() throws {
      var hashes: [[Int: String]] = []
      for ranks in [nil, 2] {
        let folder = try TemporaryFolder()
        let options = Self.options + ["--max-steps", "1"]
        let outcome = try Workplace.train(options, output: folder("run"), ranks: ranks)
        #expect(
          outcome.code == 70 && outcome.count(of: "rd-train: step 1: \(Self.complaint)") == 1, "\(outcome.errors)")
        #expect(outcome.count(of: "000.png") == 1 && outcome.count(of: "MPI_ABORT") == 0, "\(outcome.errors)")
        let run = try TrainedRun(folder("run"), outcome)
        #expect(try hash(ofFile: run.checkpoint(1)) == run.hashes[1])
        hashes.append(run.hashes)

        let again = try Workplace.train(options, output: folder("run"), ranks: ranks)
        #expect(again.code == 70 && again.count(of: Self.complaint) == 1, "\(again.errors)")
        #expect(again.count(of: "sha256") == 0, "\(again.errors)")
      }
      #expect(hashes[0] == hashes[1])
    }

    /// On the way the run does without statistics and without an evaluation; after the second step it has both.
    @Test(arguments: [nil, 2], [["--validation-fraction", "0.25"], ["--best-by", "image_auroc"]])
    func onTheWayItIsAWarning(ranks: Int?, evaluation: [String]) throws {
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(
        Self.options + evaluation + [
          "--max-steps", "2", "--checkpoint-every", "1 steps", "--statistics", "checkpoint", "--evaluate-every",
          "1 steps", "--evaluation-data", try Workplace.data(),
        ], output: folder("run"), ranks: ranks)
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(
        outcome.count(of: "warning: no statistics of step 1: step 1: \(Self.complaint)") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "warning: no evaluation of step 1: ") == 1, "\(outcome.errors)")
      #expect(
        outcome.count(of: ".png: the score is nan") == (evaluation[0] == "--best-by" ? 1 : 0), "\(outcome.errors)")
      #expect(try TrainedRun(folder("run"), outcome).hashes.keys.sorted() == [1, 2])
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder("run/best")) == [TrainedRun.name(2)])
    }

    /// A group of two ranks goes on with the next category, which has a second step.
    @Test func itLeavesOtherCategoriesAlone() throws {
      let folder = try TemporaryFolder()
      let options = Self.options + ["--data", try Workplace.categories(), "--batch-size", "6", "--epochs", "1"]
      let alone = try Workplace.train(options + ["--category", "a"], output: folder("alone"))
      try #require(alone.code == 0, "\(alone.errors)")
      let outcome = try Workplace.train(
        options + ["--category", "d, a", "--ranks-per-category", "2"], output: folder.path, ranks: 2)
      #expect(outcome.code == 70 && outcome.count(of: "MPI_ABORT") == 0, "\(outcome.errors)")
      #expect(outcome.count(of: "\nd: error: step 1: \(Self.complaint)") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "\nd: checkpoint ") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "rd-train: 1 of 2 categories failed: d") == 1, "\(outcome.errors)")
      #expect(
        try hash(ofFile: folder("a/checkpoints/\(TrainedRun.name(2))"))
          == hash(ofFile: folder("alone/checkpoints/\(TrainedRun.name(2))")))
    }
  }
}
