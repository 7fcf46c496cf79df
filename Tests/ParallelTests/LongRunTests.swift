import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Runs of many steps: what a process takes of the system stays the same.
  @Suite struct LongRuns {
    private struct Sample {
      let step: Int
      /// KiB in memory, now and at most in this tenth of the steps so far: while a checkpoint is written it is more.
      let memory, peak: Int
      let threads: Int
      let files: Int

      init?(_ process: pid_t, log: String) {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
          let memory = status.firstMatch(of: /VmRSS:\s+(\d+) kB/).flatMap({ Int($0.1) }),
          let peak = status.firstMatch(of: /VmHWM:\s+(\d+) kB/).flatMap({ Int($0.1) }),
          let threads = status.firstMatch(of: /Threads:\s+(\d+)/).flatMap({ Int($0.1) }),
          let files = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count,
          let lines = FileManager.default.contents(atPath: log)
        else { return nil }
        step = lines.count { $0 == UInt8(ascii: "\n") }
        (self.memory, self.peak, self.threads, self.files) = (memory, peak, threads, files)
      }
    }

    /// Steps, checkpoints and scores of the normal images.
    @Test(arguments: Thoroughness.isFull ? [2, 1] : [2])
    func memoryThreadsAndFilesStayAsTheyAre(ranks: Int) throws {
      let folder = try TemporaryFolder()
      let steps = Thoroughness.count(10_000, sample: 100)
      let tool = try ToolProcess.start(
        "rd-train",
        try Workplace.standardOptions() + [
          "--output", folder("run"), "--epochs", "1000000", "--max-steps", "\(steps)", "--batch-size", "2", "--threads",
          "1", "--bottleneck", "oce", "--logical-shards", "2", "--checkpoint-every", "\(steps / 10) steps",
          "--statistics", "checkpoint",
        ], ranks: ranks, seconds: 7200)
      try tool.waits(toSay: "\nstep 1/")
      let processes = try (0..<ranks).map { try tool.processIdentifier(ofRank: $0) }
      var samples = [[Sample]](repeating: [], count: ranks)
      // Each with a checkpoint in its middle, where a process has its peak.
      func tenth(_ sample: Sample) -> Int { (sample.step * 10 + steps / 2) / steps }
      while Set(samples.map(\.count)).count == 1 {
        for (rank, process) in processes.enumerated() {
          guard let sample = Sample(process, log: folder("run/log.jsonl")) else { continue }
          if let last = samples[rank].last, tenth(last) < tenth(sample) {
            // The system keeps the most of a process's whole life: this makes it begin anew.
            try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/\(process)/clear_refs"))
          }
          samples[rank].append(sample)
        }
        guard samples[0].last?.step ?? 0 < steps, kill(processes[0], 0) == 0 else { break }
        usleep(Thoroughness.isFull ? 200_000 : 20_000)
      }
      let outcome = try tool.wait()
      #expect(outcome.code == 0, "\(outcome.errors)")
      for (rank, all) in samples.enumerated() {
        // From the second checkpoint to the last but one.
        // The first sample of each was taken before its peak began anew.
        func part(_ number: Int) -> ArraySlice<Sample> { all.filter { tenth($0) == number }.dropFirst() }
        let (first, last) = (part(2), part(9))
        try #require(!first.isEmpty && !last.isEmpty)
        func peaks(_ value: (Sample) -> Int) -> (Int, Int) { (first.map(value).max() ?? 0, last.map(value).max() ?? 0) }
        func median(_ part: ArraySlice<Sample>) -> Int { part.map(\.memory).sorted()[part.count / 2] }
        let memory = (median(first), median(last))
        let (peak, threads, files) = (peaks(\.peak), peaks(\.threads), peaks(\.files))
        for (early, late) in [memory, peak] {
          #expect(Double(late) < Double(early) * (Thoroughness.isFull ? 1.01 : 1.1), "rank \(rank): \(memory), \(peak)")
        }
        #expect(threads.0 == threads.1, "rank \(rank): \(threads)")
        // A checkpoint may be open.
        #expect(files.1 <= files.0 + 1, "rank \(rank): \(files)")
        Thoroughness.report(
          "rank \(rank) of \(ranks), \(steps) steps: \(memory.0) and \(memory.1) KiB, at most \(peak.0) and \(peak.1), \(threads.0) and \(threads.1) threads, \(files.0) and \(files.1) files open"
        )
      }
    }
  }
}
