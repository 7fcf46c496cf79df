import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Disks that are full, read-only or broken, and calls that do half of what they are asked.
  @Suite struct Disks {
    /// The disk fills up in the middle of a run, is emptied, and fills up again until the run ends. It is read-only for a start, and then well: no
    /// step is lost, nor a line of the log.
    @Test(.enabled(if: SmallDisk.isPossible, "only root can mount a small file system"))
    func aRunOutlivesAFullAndAReadOnlyDisk() throws {
      let (disk, manager) = (try SmallDisk(megabytes: 1024), FileManager.default)
      let run = disk("run")
      func written(_ tool: RunningTool) throws {
        try tool.waits(toSay: " sha256 ", times: tool.count(of: " sha256 ") + 2)
      }
      func refused(_ tool: RunningTool) throws {
        let warning = "warning: no checkpoint of step "
        try tool.waits(toSay: warning, times: tool.count(of: warning) + 2)
      }
      let options = Faults.endless + ["--checkpoint-every", "1 steps"]
      let tool = try Workplace.start(options, output: run, ranks: 2)
      try tool.waits(toSay: "step-00000002.h5 sha256")
      try disk.fill("ballast")
      try refused(tool)
      try manager.removeItem(atPath: disk("ballast"))
      try written(tool)
      try disk.fill("ballast")
      try refused(tool)
      try #require(kill(try tool.processIdentifier(), SIGUSR1) == 0)
      let outcome = try tool.wait()
      #expect(outcome.code == 74 && outcome.count(of: "rd-train: ") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "No space left on device") > 0, "\(outcome.errors)")
      try manager.removeItem(atPath: disk("ballast"))
      let newest = try #require(try TrainedRun(run, outcome).hashes.max { $0.key < $1.key })
      #expect(try hash(ofFile: "\(run)/checkpoints/\(TrainedRun.name(newest.key))") == newest.value)
      try disk.set(readOnly: true)
      let refusedStart = try Workplace.train(options, output: run, ranks: 2)
      #expect(refusedStart.code == 74 && refusedStart.count(of: "Read-only file system") == 1, "\(refusedStart.errors)")

      try disk.set(readOnly: false)
      let length = ["--max-steps", "\(newest.key + 1)"]
      let resumed = try Workplace.train(options + length, output: run, ranks: 2)
      try #require(resumed.code == 0, "\(resumed.errors)")
      let undisturbed = try Workplace.trained(options + length)
      #expect(try TrainedRun(run, resumed).hashes[newest.key + 1] == undisturbed.hashes[newest.key + 1])
      #expect(try TrainedRun(run, resumed).steps == undisturbed.steps)
    }

    /// Room for a part of the results: the evaluation says so, and leaves nothing that could be taken for a result.
    @Test(.enabled(if: SmallDisk.isPossible, "only root can mount a small file system"))
    func anEvaluationOnAFullDiskLeavesNothingHalf() throws {
      let run = try Workplace.standard()
      let sizes = Thoroughness.isFull ? Array(stride(from: 4, through: 400, by: 4)) : [8, 64, 100]
      let manager = FileManager.default
      var failed = 0
      for size in sizes {
        let disk = try SmallDisk(kilobytes: size)
        let outcome = try ToolProcess.run(
          "rd-eval", [run.path, "--data", try Workplace.data(), "--category", "surface", "--output", disk("out")],
          ranks: size % 8 == 0 ? 2 : nil)
        let names = (try? manager.subpathsOfDirectory(atPath: disk.path)) ?? []
        #expect(!names.contains { $0.contains(".partial") }, "\(size) KiB: \(names)")
        guard outcome.code != 0 else { continue }
        failed += 1
        #expect(outcome.code == 74 && outcome.count(of: "rd-eval: ") == 1, "\(size) KiB: \(outcome.errors)")
        #expect(outcome.count(of: "No space left on device") == 1, "\(size) KiB: \(outcome.errors)")
        #expect(!names.contains("out/metrics.json"), "\(size) KiB: \(names)")
      }
      #expect(failed >= 2)
      Thoroughness.report(
        "evaluations on \(sizes.count) disks of \(sizes[0]) to \(sizes.last ?? 0) KiB: \(failed) said that they were full, nothing half-written"
      )
    }

    private static func environment(_ fault: String, _ folder: String, count: String = "") throws -> [String: String] {
      [
        "LD_PRELOAD": try ToolProcess.builtTool("libCFaultyCalls.so"), "RD_FAULTY": fault, "RD_FAULTY_FOLDER": folder,
        "RD_FAULTY_COUNT": count,
      ].filter { !$0.value.isEmpty }
    }

    /// Every second call is interrupted, and the others do half of what they are asked: nothing changes.
    @Test func interruptedAndShortCallsAreGoneOnWith() throws {
      let expected = try Workplace.standard()
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(
        output: folder("run"), environment: Self.environment("hindered", folder.path))
      try #require(outcome.code == 0, "\(outcome.errors)")
      #expect(try TrainedRun(folder("run"), outcome).hashes == expected.hashes)
    }

    /// Each call that changes a file fails once, of a run that goes on from a checkpoint and writes another.
    @Test func noFailedCallHarmsWhatWasThere() throws {
      let expected = try Workplace.stepwise()
      let folder = try TemporaryFolder()
      let (run, manager) = (folder("run"), FileManager.default)
      let options = ["--no-embed-teacher", "--max-steps", "5"]
      func start(_ fault: String, count: String = "") throws -> ToolProcess.Outcome {
        try? manager.removeItem(atPath: run)
        try manager.createDirectory(atPath: "\(run)/checkpoints", withIntermediateDirectories: true)
        try manager.copyItem(atPath: expected.checkpoint(4), toPath: "\(run)/checkpoints/\(TrainedRun.name(4))")
        return try Workplace.train(options, output: run, environment: Self.environment(fault, run, count: count))
      }
      let whole = try start("none", count: folder("count"))
      try #require(whole.code == 0, "\(whole.errors)")
      let hash5 = try TrainedRun(run, whole).hashes[5]
      let text = try String(contentsOfFile: folder("count"), encoding: .utf8)
      let calls = try #require(Int(text.trimmingCharacters(in: .whitespacesAndNewlines)))
      var random = SeededGenerator(seed: 3)
      let chosen = Array(Array(1...calls).shuffled(using: &random).prefix(Thoroughness.count(100, sample: 3)))
      var failures = 0
      for call in chosen {
        let outcome = try start("error:\(call)")
        #expect([0, 74].contains(outcome.code), "call \(call): \(outcome.errors)")
        if outcome.code == 74 {
          failures += 1
          #expect(
            outcome.count(of: "rd-train: ") == 1 && outcome.count(of: "Input/output error") == 1, "\(outcome.errors)")
        } else {
          // Where the run did not need the call, that was said.
          #expect(outcome.count(of: "warning: ") > 0 || call <= 3, "call \(call): \(outcome.errors)")
        }
        #expect(try hash(ofFile: "\(run)/checkpoints/\(TrainedRun.name(4))") == expected.hashes[4], "call \(call)")
        let again = try Workplace.train(options, output: run)
        #expect(again.code == 0, "call \(call): \(again.errors)")
        #expect(try hash(ofFile: "\(run)/checkpoints/\(TrainedRun.name(5))") == hash5, "call \(call)")
      }
      Thoroughness.report(
        "\(chosen.count) of \(calls) calls failed once each: \(failures) ended the run with 74, no checkpoint was harmed"
      )
    }
  }
}
