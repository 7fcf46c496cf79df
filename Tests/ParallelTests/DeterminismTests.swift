import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Equal runs end in equal files, whatever they run on.
  @Suite struct Determinism {
    @Test(arguments: [1, 2, 3, 4, 5])
    func anyNumberOfRanksGivesTheSameBits(ranks: Int) throws {
      let (expected, run) = (try Workplace.standard(), try Workplace.trained(ranks: ranks))
      #expect(run.hashes == expected.hashes)
      #expect(run.steps == expected.steps)
    }

    @Test func theReportedHashIsTheFiles() throws {
      let run = try Workplace.standard()
      #expect(Array(run.hashes.keys) == [5])
      #expect(try hash(ofFile: run.checkpoint(5)) == run.hashes[5])
      #expect(run.steps.map(\.step) == [1, 2, 3, 4, 5])
      #expect(run.steps.map(\.epoch) == [1, 1, 1, 2, 2])
    }

    @Test func eightRanksTakeEverythingFromTheFolder() throws {
      let folder = try TemporaryFolder()
      try FileManager.default.createSymbolicLink(atPath: folder("data"), withDestinationPath: Workplace.data())
      let file = """
        data = "data"
        category = "surface"
        output = "run"
        teacher = "random:1"
        backbone = "resnet18"
        image_size = 32
        batch_size = 4
        epochs = 2
        max_steps = 5
        """
      try Data(file.utf8).write(to: folder.url.appendingPathComponent("rd-train.toml"))
      let outcome = try ToolProcess.run("rd-train", ranks: 8, in: folder.url)
      try #require(outcome.code == 0, "\(outcome.errors)")
      #expect(try TrainedRun(folder("run"), outcome).hashes == Workplace.standard().hashes)
      // The folder is the user's: only the output is written.
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["data", "rd-train.toml", "run"])
    }

    /// The cache of 100 KiB holds three of the images.
    @Test(arguments: [
      (nil, ["--threads", "1", "--feature-cache", "100KiB"]),
      (3, ["--threads", "2", "--feature-cache", "50KiB"]), (2, ["--threads", "3", "--feature-cache", "off"]),
    ])
    func threadsAndCacheChangeNothing(ranks: Int?, options: [String]) throws {
      let (expected, run) = (try Workplace.standard(), try Workplace.trained(options, ranks: ranks))
      #expect(run.hashes == expected.hashes)
      #expect(run.steps == expected.steps)
    }

    static let variants = [
      ["--preset", "paper"], ["--bottleneck", "oce"], ["--bottleneck", "pretrained"],
      ["--no-embed-teacher", "--logical-shards", "3", "--batch-size", "6"],
      ["--image-size", "64", "--batch-size", "8"],
    ]

    @Test(arguments: variants)
    func variantsDoNotDependOnTheRanksEither(options: [String]) throws {
      let options = options + ["--max-steps", "1"]
      let alone = try Workplace.trained(options)
      let together = try Workplace.trained(options, ranks: 3)
      #expect(alone.hashes == together.hashes && alone.hashes.count == 1)
      #expect(alone.steps == together.steps)
      #expect(
        alone.steps.first?.loss != (try Workplace.standard().steps.first?.loss) || options[0] == "--no-embed-teacher")
    }

    @Test(arguments: [["--engine", "openblas"], ["--precision", "bf16"]])
    func noEngineDependsOnRanksOrThreads(options: [String]) throws {
      let options = options + ["--max-steps", "2"]
      let expected = try Workplace.trained(options)
      #expect(try expected.steps.first?.loss != Workplace.standard().steps.first?.loss)
      for (ranks, threads) in [(2, 3), (5, 1)] {
        let run = try Workplace.trained(options + ["--threads", "\(threads)"], ranks: ranks)
        #expect(run.hashes == expected.hashes && run.hashes.count == 1, "\(threads) threads")
        #expect(run.steps == expected.steps)
      }
    }

    /// OpenBLAS takes its kernels after the processor.
    @Test(arguments: hasWideVectors ? ["Haswell", "SkylakeX"] : ["Haswell"])
    func everyKernelOfOpenBLASGivesTheSameBits(core: String) throws {
      let (options, environment) = (["--engine", "openblas", "--max-steps", "1"], ["OPENBLAS_CORETYPE": core])
      let alone = try Workplace.trained(options, environment: environment)
      let together = try Workplace.trained(options, ranks: 3, environment: environment)
      #expect(alone.hashes == together.hashes && alone.hashes.count == 1)
      #expect(alone.steps == together.steps)
    }

    private static let hasWideVectors =
      (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.contains(" avx512vl") ?? false

    /// Stopped after every step and gone on with, each time on another number of ranks.
    @Test func aRunThatIsStoppedAfterEveryStepEndsInTheSameFile() throws {
      let expected = try Workplace.stepwise()
      #expect(try expected.hashes[5] == Workplace.standard().hashes[5])
      let folder = try TemporaryFolder()
      for (step, ranks) in [(1, nil), (2, 3), (3, 2), (4, 1), (5, 4)] as [(Int, Int?)] {
        let outcome = try Workplace.train(["--max-steps", "\(step)"], output: folder("run"), ranks: ranks)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let run = try TrainedRun(folder("run"), outcome)
        #expect(run.hashes == [step: expected.hashes[step]], "step \(step)")
        #expect(run.steps == Array(expected.steps.prefix(step)))
      }
    }

    /// A checkpoint on the way, without statistics.
    @Test(arguments: [1, 3, 4])
    func aRunGoesOnFromEveryStep(step: Int) throws {
      let expected = try Workplace.stepwise()
      let run = try Workplace.trained(
        ["--resume", expected.checkpoint(step)], ranks: step % 2 == 0 ? 2 : nil)
      #expect(run.hashes == [5: expected.hashes[5]])
      #expect(run.steps == Array(expected.steps.suffix(5 - step)))
    }
  }
}
