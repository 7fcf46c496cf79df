import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Ranks that stop in the middle of a run: the job ends, says which, and leaves no process behind.
  @Suite struct LostRanks {
    /// Trains on three ranks, sends a signal to one once steps are done, and waits for the end.
    /// - Returns: how the job ended, how long after the signal, and the rank's process.
    private static func lose(
      rank: Int, by signal: Int32, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> (outcome: ToolProcess.Outcome, duration: Duration, process: Int32) {
      let folder = try TemporaryFolder()
      let job = UUID().uuidString
      var (process, sent) = (Int32(0), ContinuousClock.now)
      let outcome = try ToolProcess.run(
        "rd-train",
        Workplace.standardOptions() + [
          "--output", folder("run"), "--epochs", "100000", "--max-steps", "1000000", "--threads", "1",
          "--stall-timeout", "2 s",
        ], ranks: 3, environment: [jobName: job], seconds: 60
      ) { errors in
        try waitUntil(within: .seconds(40)) { try errors().contains("\nstep 1/") }
        process = try #require(
          processes(of: job).first { environment(of: $0).contains("OMPI_COMM_WORLD_RANK=\(rank)") },
          sourceLocation: sourceLocation)
        sent = .now
        kill(process, signal)
      }
      let duration = ContinuousClock.now - sent
      // mpirun may end a moment before the ranks that it kills.
      try waitUntil(within: .seconds(6)) { processes(of: job).isEmpty }
      return (outcome, duration, process)
    }

    @Test(arguments: [0, 2])
    func aStoppedRankIsNamed(rank: Int) throws {
      let (outcome, duration, process) = try Self.lose(rank: rank, by: SIGSTOP)
      #expect(outcome.code == 76, "\(outcome.errors)")
      #expect(duration < .seconds(15))
      let host = ProcessInfo.processInfo.hostName
      let (waiter, culprit) = (rank == 0 ? 1 : 0, "rank \(rank) on host \(host) (process \(process))")
      #expect(outcome.count(of: "rd-train: ") == 1, "\(outcome.errors)")
      #expect(
        outcome.errors.contains(
          try Regex(
            "rd-train: step [0-9]+: rank \(waiter) on host .* has waited for [0-9]+ s in MPI_[A-Z][a-z]+, collective call [0-9]+, for\n"
          )
        ), "\(outcome.errors)")
      #expect(outcome.count(of: "\n  \(culprit), which does not answer: ") == 1, "\(outcome.errors)")
    }

    @Test func aKilledRankIsNamed() throws {
      let (outcome, duration, _) = try Self.lose(rank: 1, by: SIGKILL)
      #expect(outcome.code == 137, "\(outcome.errors)")
      #expect(duration < .seconds(10))
      #expect(outcome.errors.contains(try Regex("process rank 1 with PID [0-9]+ on node .*exited on\\s+signal 9")))
    }
  }
}

/// Marks the processes of a test's job in their environment.
private let jobName = "RD_TEST_JOB"

/// The living processes of a job, its launcher and those that the launcher started.
private func processes(of job: String) -> [Int32] {
  let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
  // A process that has ended has no environment any more.
  return all.compactMap { Int32($0) }.filter { environment(of: $0).contains("\(jobName)=\(job)") }
}

private func environment(of process: Int32) -> [String] {
  let bytes = FileManager.default.contents(atPath: "/proc/\(process)/environ") ?? Data()
  return String(decoding: bytes, as: UTF8.self).split(separator: "\0").map(String.init)
}

private func waitUntil(within limit: Duration, _ condition: () throws -> Bool) throws {
  let end = ContinuousClock.now + limit
  while try !condition() {
    guard ContinuousClock.now < end else { throw ToolProcess.Trouble(description: "nothing happened within \(limit)") }
    Thread.sleep(forTimeInterval: 0.05)
  }
}
