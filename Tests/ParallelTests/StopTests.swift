import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Runs that are asked to stop, and go on.
  @Suite struct Stops {
    private static let endless = [
      "--epochs", "1000000", "--max-steps", "1000000", "--checkpoint-every", "1000000 epochs",
    ]

    /// Starts a run without an end, signals it in its first steps, and finds a checkpoint.
    private func stop(
      _ run: String, ranks: Int?, _ number: Int32, environment: [String: String] = [:], code: Int32 = 75,
      reason: String, at process: (RunningTool) throws -> pid_t
    ) throws -> Int {
      let tool = try Workplace.start(Self.endless, output: run, ranks: ranks, environment: environment)
      try tool.waits(toSay: "/1000000 epoch ")
      try #require(kill(try process(tool), number) == 0)
      let outcome = try tool.wait()
      #expect(outcome.code == code, "\(outcome.errors)")
      #expect(outcome.count(of: "stopped by \(reason)") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "sha256") == 1, "\(outcome.errors)")
      return try #require(try TrainedRun(run, outcome).hashes.keys.max())
    }

    /// A run of five lives, each on other ranks, ends with the bits of one that nothing disturbed.
    @Test func aRunOfManyLivesIsTheSame() throws {
      let folder = try TemporaryFolder()
      let run = folder("run")
      var steps = [0]
      steps.append(
        try stop(run, ranks: 2, SIGUSR1, reason: "SIGUSR1") { try $0.processIdentifier() })
      steps.append(
        try stop(run, ranks: 3, SIGTERM, reason: "SIGTERM") { try $0.processIdentifier(ofRank: 1) })
      steps.append(
        try stop(run, ranks: nil, SIGINT, reason: "SIGINT") { try $0.processIdentifier() })
      // mpirun gives its own status where it was told to end; that of Open MPI 5 leaves its ranks no time for a checkpoint.
      if try ToolProcess.run("rd-train", ["--version"]).output.contains("MPI: Open MPI v4.") {
        steps.append(
          try stop(
            run, ranks: 2, SIGTERM, environment: ["OMPI_MCA_odls_base_sigkill_timeout": "5"], code: 1, reason: "mpirun"
          ) { try $0.processIdentifier() })
      }
      for (before, after) in zip(steps, steps.dropFirst()) { #expect(before < after) }

      let last = try #require(steps.last) + 2
      let length = ["--epochs", "1000000", "--max-steps", "\(last)"]
      let resumed = try Workplace.train(length, output: run, ranks: 2)
      try #require(resumed.code == 0, "\(resumed.errors)")
      let undisturbed = try Workplace.trained(length)
      let end = try TrainedRun(run, resumed)
      #expect(end.hashes[last] != nil && end.hashes[last] == undisturbed.hashes[last])
      #expect(end.steps == undisturbed.steps)
    }

    @Test func aSecondInterruptEndsAtOnce() throws {
      let folder = try TemporaryFolder()
      let tool = try Workplace.start(Self.endless, output: folder("run"))
      try tool.waits(toSay: "/1000000 epoch ")
      let process = try tool.processIdentifier()
      try #require(kill(process, SIGINT) == 0)
      // Where the first is still pending, another one is lost.
      for _ in 0..<20 where kill(process, SIGINT) == 0 { usleep(5000) }
      let outcome = try tool.wait()
      #expect([130, -SIGINT].contains(outcome.code))
      #expect(outcome.count(of: "sha256") == 0)
    }

    @Test(arguments: ["scheduler", "option"])
    func theRunStopsBeforeItsJobEnds(source: String) throws {
      let folder = try TemporaryFolder()
      // Of which a reserve of more than ten seconds is kept.
      let end = Int(Date.now.timeIntervalSince1970) + 20
      let byOption = source == "option"
      let outcome = try Workplace.train(
        Self.endless + (byOption ? ["--end-time", "\(end)", "--resume", "never"] : []), output: folder("run"), ranks: 2,
        environment: byOption ? [:] : ["SLURM_JOB_END_TIME": "\(end)"])
      #expect(outcome.code == 75, "\(outcome.errors)")
      #expect(outcome.count(of: "stopped before the job's time ends") == 1, "\(outcome.errors)")
      let way = byOption ? "start it again with --resume auto" : "start the same command again"
      #expect(outcome.count(of: "hint: \(way) to go on") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "sha256") == 1)
      #expect(Date.now.timeIntervalSince1970 < Double(end))
    }
  }
}
