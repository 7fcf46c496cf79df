import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// What a run says to other programs as it goes.
  @Suite struct Logs {
    struct Trace: Decodable {
      struct Event: Decodable {
        let name: String
        let cat: String
        let ph: String
        let ts: Double
        let dur: Double
        let pid: Int
        let tid: Int
        var end: Double { ts + dur }
      }
      let traceEvents: [Event]
    }

    /// Every rank has every phase of every step, within the step, and its calls within the phases.
    @Test(arguments: ["auto", "off"])
    func aTraceShowsEveryPhaseOnEveryRank(cache: String) throws {
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(
        ["--trace", folder("new/trace.json"), "--feature-cache", cache], output: folder("run"), ranks: 2)
      try #require(outcome.code == 0, "\(outcome.errors)")
      #expect(try TrainedRun(folder("run"), outcome).hashes[5] == Workplace.standard().hashes[5])
      let data = try Data(contentsOf: URL(fileURLWithPath: folder("new/trace.json")))
      let events = try JSONDecoder().decode(Trace.self, from: data).traceEvents
      // Not every rank has an image in every step.
      #expect(events.contains { $0.name == "teacher" } == (cache == "off"))
      for rank in 0...1 {
        let own = events.filter { $0.pid == rank && $0.tid == 0 }
        #expect(own.filter { $0.ph == "M" && $0.name == "process_name" }.count == 1)
        let steps = own.filter { $0.cat == "step" }
        #expect(steps.map(\.name) == (1...5).map { "step \($0)" } && steps.allSatisfy { $0.ph == "X" && $0.ts >= 0 })
        for (step, next) in zip(steps, steps.dropFirst()) { #expect(step.end <= next.ts) }
        for step in steps {
          let phases = own.filter { $0.cat == "phase" && $0.ts >= step.ts && $0.end <= step.end }
          for phase in ["forward", "backward", "reduction", "optimizer", "log"] {
            #expect(phases.filter { $0.name == phase }.count == 1, "\(phase)")
          }
          #expect(phases.contains { $0.name == "input" })
          for (phase, next) in zip(phases, phases.dropFirst()) { #expect(phase.end <= next.ts) }
          let backward = try #require(phases.first { $0.name == "backward" })
          #expect(own.contains { $0.cat == "communication" && $0.ts >= backward.ts && $0.end <= backward.end })
        }
      }
    }

    /// Each category has files of its own.
    @Test func categoriesDoNotOverwriteEachOther() throws {
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(
        [
          "--data", try Workplace.categories(), "--category", "a, b", "--max-steps", "1", "--metrics-file",
          folder("m.x/rd.prom"), "--trace", folder("m.x/trace"),
        ], output: folder("run"), ranks: 2)
      try #require(outcome.code == 0, "\(outcome.errors)")
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder("m.x")).sorted()
          == ["rd-a.prom", "rd-b.prom", "trace-a", "trace-b"])
      let metrics = try String(contentsOfFile: folder("m.x/rd-b.prom"), encoding: .utf8)
      #expect(metrics.contains("rd_train_step{run=\"\(folder("run/b"))\"} 1.0\n"))
      #expect(metrics.contains("rd_train_last_checkpoint_age_seconds{"))
    }

    /// A trace that finds no room is missed, and nothing else.
    @Test(.enabled(if: SmallDisk.isPossible, "only root can mount a small file system"))
    func aTraceThatFindsNoRoomDoesNotEndTheRun() throws {
      let (folder, disk) = (try TemporaryFolder(), try SmallDisk(kilobytes: 8))
      let outcome = try Workplace.train(
        ["--trace", disk("trace.json"), "--no-embed-teacher", "--max-steps", "2"], output: folder("run"), ranks: 2)
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(outcome.count(of: "warning: no trace: ") == 1 && outcome.count(of: "No space left on device") == 1)
      #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path).isEmpty)
    }
  }
}
