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
      let tool = try Workplace.start(
        ["--epochs", "100000", "--max-steps", "1000000", "--threads", "1", "--stall-timeout", "2 s"],
        output: folder("run"), ranks: 3, environment: [jobName: job])
      try tool.waits(toSay: "\nstep 1/")
      let process = try tool.processIdentifier(ofRank: rank)
      let sent = ContinuousClock.now
      kill(process, signal)
      let outcome = try tool.wait()
      let duration = ContinuousClock.now - sent
      // mpirun may end a moment before the ranks that it kills.
      while !processes(of: job).isEmpty, ContinuousClock.now - sent < duration + .seconds(6) { usleep(50_000) }
      #expect(processes(of: job).isEmpty, sourceLocation: sourceLocation)
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

    @Test func aStoppedRankOfAnEvaluationIsNamed() throws {
      let folder = try TemporaryFolder()
      let good = folder("data/surface/test/good")
      try FileManager.default.copyItem(atPath: Workplace.data(), toPath: folder("data"))
      // Enough images that the evaluation is not over before the signal comes.
      for number in 100..<3000 {
        try FileManager.default.linkItem(atPath: "\(good)/000.png", toPath: "\(good)/\(number).png")
      }
      let tool = try ToolProcess.start(
        "rd-eval",
        [
          try Workplace.standard().path, "--data", folder("data"), "--category", "surface", "--output", folder("out"),
          "--threads", "1", "--stall-timeout", "2 s",
        ], ranks: 3)
      try tool.waits(toSay: "image")
      kill(try tool.processIdentifier(ofRank: 1), SIGSTOP)
      let outcome = try tool.wait()
      #expect(outcome.code == 76, "\(outcome.errors)")
      #expect(outcome.count(of: "rd-eval: rank 0 on host ") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "), which does not answer: ") == 1, "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder("out/metrics.json")))
    }

    /// Each of two ranks trains a category; the third has none, and waits for the others.
    @Test(arguments: ["a", "b"])
    func aStoppedRankOfACategoryIsNamed(category: String) throws {
      let folder = try TemporaryFolder()
      let tool = try Workplace.start(
        [
          "--data", Workplace.categories(), "--category", "a,b", "--ranks-per-category", "1", "--epochs", "100000",
          "--max-steps", "1000000", "--threads", "1", "--stall-timeout", "2 s",
        ], output: folder("run"), ranks: 3)
      for category in ["a", "b"] { try tool.waits(toSay: "\n\(category): step ") }
      let processes = try (0..<3).map(tool.processIdentifier(ofRank:))
      let rank = try #require(processes.firstIndex { hasOpenFile($0, in: folder("run/\(category)")) })
      let process = processes[rank]
      kill(process, SIGSTOP)
      let outcome = try tool.wait()
      #expect(outcome.code == 76, "\(outcome.errors)")
      let host = ProcessInfo.processInfo.hostName
      #expect(
        outcome.errors.contains(try Regex("rank [0-2] on host .* has waited for [0-9]+ s in the queue of work")),
        "\(outcome.errors)")
      #expect(
        outcome.count(of: "\n  rank \(rank) on host \(host) (process \(process)), which does not answer: ") == 1,
        "\(outcome.errors)")
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
let jobName = "RD_TEST_JOB"

/// The living processes of a job, its launcher and those that the launcher started.
func processes(of job: String) -> [Int32] {
  let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
  // A process that has ended has no environment any more.
  return all.compactMap { Int32($0) }.filter { environment(of: $0).contains("\(jobName)=\(job)") }
}

private func hasOpenFile(_ process: Int32, in folder: String) -> Bool {
  let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd")) ?? []
  return files.contains {
    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/fd/\($0)")
    return target?.hasPrefix(folder + "/") ?? false
  }
}

private func environment(of process: Int32) -> [String] {
  let bytes = FileManager.default.contents(atPath: "/proc/\(process)/environ") ?? Data()
  return String(decoding: bytes, as: UTF8.self).split(separator: "\0").map(String.init)
}
