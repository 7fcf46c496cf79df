import Checkpoints
import Foundation
import Metrics
import TestSupport
import Testing

extension ParallelTests {
  /// Images in several tiles.
  @Suite struct Tiles {
    private static let options = ["--tiles", "2", "--batch-size", "16"]

    private static let expected = Result { try Workplace.trained(options + ["--checkpoint-every", "2 steps"]) }

    @Test(arguments: [(["--feature-cache", "off"], 1), (["--feature-cache", "300 KiB"], 3), (["--threads", "1"], 2)])
    func theBitsDependOnNeitherRanksNorCache(options: [String], ranks: Int) throws {
      let run = try Workplace.trained(Self.options + options, ranks: ranks)
      let expected = try Self.expected.get()
      #expect(run.hashes[5] == expected.hashes[5] && run.hashes.count == 1)
      #expect(run.steps == expected.steps)
      // 40 tiles in batches of 16.
      #expect(run.steps.map(\.epoch) == [1, 1, 1, 2, 2])
    }

    /// The checkpoint, evaluation and prediction agree on every score, held out or not.
    @Test(arguments: [[], ["--validation-fraction", "0.3", "--evaluate-every", "2 steps"]])
    func allScoreTheWholeImage(options: [String]) throws {
      let folder = try TemporaryFolder()
      let data = try Workplace.data()
      let outcome = try Workplace.train(
        Self.options + options + (options.isEmpty ? [] : ["--evaluation-data", data]), output: folder("run"), ranks: 2)
      #expect(outcome.code == 0 && outcome.count(of: " tiles") == 1, "\(outcome.errors)")
      let checkpoint = try CheckpointFile(path: TrainedRun(folder("run"), outcome).checkpoint(options.isEmpty ? 5 : 4))
      let statistics = try #require(checkpoint.record.normalStatistics)
      let normal = (0..<10).map { "\(data)/surface/train/good/00\($0).png" }
      func scores(_ arguments: [String]) throws -> [Double] {
        let predicted = try ToolProcess.run("rd-eval", ["predict", folder("run")] + arguments)
        #expect(predicted.code == 0, "\(predicted.errors)")
        return predicted.output.split(separator: "\n").dropFirst().compactMap { Double($0.split(separator: ",")[2]) }
      }
      let all = try scores(normal)
      #expect(
        Set(statistics.imageScores).isSubset(of: all) && statistics.imageScores.count == (options.isEmpty ? 10 : 3))
      // A map of 56 x 56, of which every eighth pixel of every eighth row; M1 of 16 x 16.
      #expect(statistics.map?.count == statistics.imageScores.count * 7 * 7)
      #expect(statistics.scales[0].count == statistics.imageScores.count * 8 * 8)

      let evaluated = try ToolProcess.run(
        "rd-eval", [folder("run"), "--data", data, "--category", "surface", "--output", folder("results")], ranks: 3)
      #expect(evaluated.code == 0, "\(evaluated.errors)")
      let table = try String(contentsOfFile: folder("results/scores.csv"), encoding: .utf8)
      let rows = table.split(separator: "\n").dropFirst().map {
        $0.split(separator: ",", omittingEmptySubsequences: false)
      }
      #expect(rows.count == 6)
      let again = try scores(rows.map { "\(data)/surface/test/\($0[1])/\($0[0].split(separator: "/").last ?? "")" })
      #expect(rows.compactMap { Double($0[3]) } == again)
    }

    @Test func aRunGoesOnWithTheSameTiles() throws {
      let folder = try TemporaryFolder()
      let first = try Workplace.train(Self.options + ["--max-steps", "2"], output: folder("run"))
      #expect(first.code == 0, "\(first.errors)")
      let other = try Workplace.train(["--batch-size", "16"], output: folder("run"), ranks: 2)
      #expect(other.code == 78 && other.count(of: "tiles is 1, there 2") == 1, "\(other.errors)")
      let second = try Workplace.train(Self.options, output: folder("run"), ranks: 2)
      #expect(second.code == 0, "\(second.errors)")
      #expect(try hash(ofFile: folder("run/checkpoints/step-00000005.h5")) == Self.expected.get().hashes[5])
    }

    @Test func aPlanKnowsThem() throws {
      let folder = try TemporaryFolder()
      let plan = try Workplace.train(Self.options + ["--plan"], output: folder("run"))
      #expect(
        plan.code == 0 && plan.output.contains("10 images in 40 tiles, 16 a step"), "\(plan.output)\(plan.errors)")
    }

    @Test func thereAreNotTooMany() throws {
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(["--tiles", "64", "--image-size", "1024"], output: folder("run"), ranks: 2)
      #expect(outcome.code == 78 && outcome.count(of: "makes images of 49408 x 49408 pixels") == 1, "\(outcome.errors)")
    }
  }
}
