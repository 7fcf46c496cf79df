import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Runs whose files fail them, or that are in each other's way.
  @Suite struct Faults {
    static let endless = [
      "--epochs", "1000000", "--max-steps", "1000000", "--threads", "1", "--no-embed-teacher",
    ]

    /// The folder of checkpoints is gone for a while, as where a network file system is: the run goes on, and writes the next one.
    @Test func aCheckpointThatCannotBeWrittenIsTriedAgain() throws {
      let folder = try TemporaryFolder()
      let (run, manager) = (folder("run"), FileManager.default)
      let tool = try Workplace.start(Self.endless + ["--checkpoint-every", "3 steps"], output: run, ranks: 2)
      try tool.waits(toSay: "step-00000003.h5 sha256")
      try manager.moveItem(atPath: "\(run)/checkpoints", toPath: folder("away"))
      try tool.waits(toSay: "warning: no checkpoint of step ")
      try manager.moveItem(atPath: folder("away"), toPath: "\(run)/checkpoints")
      try tool.waits(toSay: " sha256 ", times: tool.count(of: " sha256 ") + 1)
      // Asked to stop where none can be written, it says that it failed.
      try manager.moveItem(atPath: "\(run)/checkpoints", toPath: folder("away"))
      try #require(kill(try tool.processIdentifier(), SIGUSR1) == 0)
      let outcome = try tool.wait()
      #expect([65, 74].contains(outcome.code), "\(outcome.errors)")
      #expect(outcome.count(of: "rd-train: ") == 1, "\(outcome.errors)")

      try manager.moveItem(atPath: folder("away"), toPath: "\(run)/checkpoints")
      let newest = try #require(try TrainedRun(run, outcome).hashes.max { $0.key < $1.key })
      #expect(try hash(ofFile: "\(run)/checkpoints/\(TrainedRun.name(newest.key))") == newest.value)
      let length = ["--max-steps", "\(newest.key + 2)"]
      let resumed = try Workplace.train(Self.endless + length, output: run, ranks: 2)
      try #require(resumed.code == 0, "\(resumed.errors)")
      let undisturbed = try Workplace.trained(Self.endless + length)
      #expect(try TrainedRun(run, resumed).hashes[newest.key + 2] == undisturbed.hashes[newest.key + 2])
      #expect(try TrainedRun(run, resumed).steps == undisturbed.steps)
    }

    @Test func aSecondTrainerOnTheSameFolderIsRefused() throws {
      let folder = try TemporaryFolder()
      let first = try Workplace.start(Self.endless, output: folder("run"))
      try first.waits(toSay: "step 1/")
      for options in [[], ["--resume", "never"]] {
        let second = try Workplace.train(options, output: folder("run"), ranks: 2)
        #expect(second.code == 78, "\(second.errors)")
        let holder = try first.processIdentifier()
        #expect(
          second.count(of: "\(folder("run")): in use by rd-train, process \(holder) on host ") == 1, "\(second.errors)")
      }
      #expect(!FileManager.default.fileExists(atPath: folder("run/checkpoints-1")))
      // However it ends, the folder is free then.
      try #require(kill(try first.processIdentifier(), SIGKILL) == 0)
      #expect(try first.wait().code == -SIGKILL)
      let third = try Workplace.train(["--max-steps", "1"], output: folder("run"))
      #expect(third.code == 0, "\(third.errors)")
    }

    /// Nobody reads what it says, and the run is the same: on a full disk, and where whoever read has gone.
    @Test(arguments: ["exec 2>/dev/full", "exec 2> >(head -n 1 >/dev/null)"])
    func messagesThatCannotBeWrittenAreNoFailure(shell: String) throws {
      let expected = try Workplace.standard()
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(["--verbose"], output: folder("run"), shell: shell)
      #expect(outcome.code == 0)
      #expect(try hash(ofFile: folder("run/checkpoints/step-00000005.h5")) == expected.hashes[5])
    }

    @Test func memoryThatIsNotThereIsSaid() throws {
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(
        ["--backbone", "wide_resnet50_2", "--image-size", "256", "--batch-size", "10"], output: folder("run"),
        shell: "ulimit -v 2000000")
      #expect(outcome.code == 71, "\(outcome.errors)")
      #expect(outcome.count(of: "no memory for ") == 1 && outcome.count(of: "hint: ") == 1, "\(outcome.errors)")
    }

    @Test(arguments: [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
    func filesAreAsOpenAsTheUmaskLetsThem(umask: Int, file: Int, folder: Int) throws {
      let place = try TemporaryFolder()
      let outcome = try Workplace.train(
        ["--max-steps", "1"], output: place("run"), shell: "umask \(String(umask, radix: 8))")
      #expect(outcome.code == 0, "\(outcome.errors)")
      try expectModes(in: place("run"), file: file, folder: folder)
      // Nothing beside it, either.
      #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == ["run"])
    }

    /// Evaluations of a run that writes a checkpoint after every step: each reads one of them.
    @Test func anEvaluationOfARunAtWorkReadsOneCheckpoint() throws {
      let folder = try TemporaryFolder()
      let tool = try Workplace.start(
        Self.endless + ["--checkpoint-every", "1 steps"], output: folder("run"))
      try tool.waits(toSay: "step-00000002.h5 sha256")
      for ranks in [1, 1, 2] {
        let outcome = try ToolProcess.run(
          "rd-eval",
          [
            folder("run"), "--data", try Workplace.data(), "--category", "surface", "--teacher", "random:1",
            "--threads",
            "1", "--output", folder("out"),
          ], ranks: ranks)
        #expect(outcome.code == 0 && outcome.count(of: "warning: step-") == 0, "\(outcome.errors)")
        let json = try JSONSerialization.jsonObject(
          with: Data(contentsOf: URL(fileURLWithPath: folder("out/metrics.json"))))
        let step = try #require((json as? [String: Any])?["step"] as? Int)
        #expect(step >= 2)
      }
      try #require(kill(try tool.processIdentifier(), SIGKILL) == 0)
      _ = try tool.wait()
    }

    /// Ranks and mpirun, killed at random moments; the same command goes on each time.
    @Test func aRunThatIsKilledAgainAndAgainIsTheSame() throws {
      let folder = try TemporaryFolder()
      let (run, kills) = (folder("run"), Thoroughness.count(100, sample: 3))
      let options = Self.endless + ["--checkpoint-every", "1 steps"]
      var random = SeededGenerator(seed: 20220619)
      var victims = ["mpirun": 0, "rank 0": 0, "rank 1": 0]
      var late = 0
      for number in 0..<kills {
        let job = UUID().uuidString
        let tool = try Workplace.start(options, output: run, ranks: 2, environment: [jobName: job])
        // Half of them while the ranks start and read, the others after some checkpoints, in a step or in the writing of the next one.
        if number % 2 == 0 { try tool.waits(toSay: " sha256 ", times: Int.random(in: 1...3, using: &random)) }
        usleep(UInt32.random(in: 0..<1_500_000, using: &random))
        let rank = Int.random(in: -1..<2, using: &random)
        let process = rank < 0 ? nil : try? tool.processIdentifier(ofRank: rank)
        victims[process == nil ? "mpirun" : "rank \(rank)", default: 0] += 1
        kill(try process ?? tool.processIdentifier(), SIGKILL)
        let outcome = try tool.wait()
        #expect(outcome.code != 0 && outcome.count(of: "rd-train: ") == 0, "\(outcome.errors)")
        if outcome.count(of: " sha256 ") > 0 { late += 1 }
        let ended = ContinuousClock.now
        while !processes(of: job).isEmpty, ContinuousClock.now - ended < .seconds(10) { usleep(20_000) }
        #expect(processes(of: job).isEmpty)
      }
      let names = try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints")
      let newest = names.compactMap { $0.firstMatch(of: /^step-(\d{8})\.h5$/).flatMap { Int($0.1) } }.max()
      let last = (newest ?? 0) + 2
      let length = ["--max-steps", "\(last)"]
      let resumed = try Workplace.train(options + length, output: run, ranks: 2)
      try #require(resumed.code == 0, "\(resumed.errors)")
      #expect(resumed.count(of: "warning: step-") == 0, "\(resumed.errors)")
      let undisturbed = try Workplace.trained(Self.endless + length)
      let end = try TrainedRun(run, resumed)
      #expect(end.hashes[last] != nil && end.hashes[last] == undisturbed.hashes[last])
      #expect(end.steps == undisturbed.steps)
      Thoroughness.report(
        "\(kills) kills (\(victims)), \(late) of them after checkpoints of that life, over \(last) steps: the last checkpoint has the bits of an undisturbed run"
      )
    }
  }
}
