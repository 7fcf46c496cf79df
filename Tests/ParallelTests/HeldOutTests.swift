import Checkpoints
import Foundation
import Imagery
import TestSupport
import Testing

extension ParallelTests {
  /// Normal images that are not trained on.
  @Suite struct HeldOut {
    private static let options = ["--validation-fraction", "0.25"]

    /// Three of ten.
    private static let expected = Result { try Workplace.trained(options + ["--checkpoint-every", "2 steps"]) }

    @Test(arguments: [2, 3, 7])
    func anyNumberOfRanksHoldsTheSameOut(ranks: Int) throws {
      let run = try Workplace.trained(Self.options, ranks: ranks)
      let expected = try Self.expected.get()
      #expect(run.hashes[4] == expected.hashes[4] && run.hashes.count == 1)
      #expect(run.steps == expected.steps && run.steps.count == 4)
      #expect(try run.steps.first?.loss != Workplace.standard().steps.first?.loss)
    }

    @Test func theScoresAreTheirs() throws {
      let folder = try TemporaryFolder()
      let data = try Workplace.data()
      let outcome = try Workplace.train(Self.options, output: folder("run"))
      #expect(outcome.count(of: "7 images and 3 held out") == 1, "\(outcome.errors)")
      let record = try CheckpointFile(path: folder("run/checkpoints/step-00000004.h5")).record
      let statistics = try #require(record.normalStatistics)
      #expect(statistics.areHeldOut && statistics.imageScores.count == 3 && record.shardOrder.count == 7)
      let (_, heldOut) = try DataSet(data).training(category: "surface").holdingOut(0.25, seed: 111)
      let predicted = try ToolProcess.run("rd-eval", ["predict", folder("run")] + heldOut.images.map(\.path))
      let scores = predicted.output.split(separator: "\n").dropFirst().map { Double($0.split(separator: ",")[2]) }
      #expect(scores == statistics.imageScores)
      #expect(statistics.map?.count == 3 * 8 * 8 && statistics.map?.maximum ?? 9 <= statistics.imageScore.maximum)
    }

    @Test func aRunGoesOnWithTheSameImagesHeldOut() throws {
      let folder = try TemporaryFolder()
      let expected = try Self.expected.get()
      let first = try Workplace.train(Self.options + ["--max-steps", "2"], output: folder("run"))
      #expect(first.code == 0, "\(first.errors)")
      let other = try Workplace.train(["--validation-fraction", "0.3"], output: folder("run"), ranks: 2)
      #expect(other.code == 78 && other.count(of: "validation_fraction is 0.3, there 0.25") == 1, "\(other.errors)")
      let second = try Workplace.train(Self.options, output: folder("run"), ranks: 3)
      #expect(second.code == 0, "\(second.errors)")
      #expect(try hash(ofFile: folder("run/checkpoints/step-00000004.h5")) == expected.hashes[4])
    }

    @Test func someImagesMustBeLeft() throws {
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(["--validation-fraction", "0.99"], output: folder("run"), ranks: 2)
      #expect(outcome.code == 78 && outcome.count(of: "leaves none to train on") == 1, "\(outcome.errors)")
    }
  }
}
