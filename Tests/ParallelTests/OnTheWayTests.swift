import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Evaluation during training.
  @Suite struct OnTheWay {
    struct Event: Decodable, Equatable {
      let step: Int
      let epoch: Int
      let validationLoss: Double?
      let imageAuroc: Double?
      let pixelAuroc: Double?
      let aupro: Double?
    }

    private static func events(_ run: String) throws -> [Event] {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try String(contentsOfFile: "\(run)/log.jsonl", encoding: .utf8).split(separator: "\n")
        .filter { $0.contains("evaluation_seconds") }.map { try decoder.decode(Event.self, from: Data($0.utf8)) }
    }

    private static func best(_ run: String, _ name: String = "best") throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: "\(run)/\(name)").sorted()
    }

    /// Trained in steps that get worse, too.
    private static let options = [
      "--validation-fraction", "0.25", "--max-steps", "9", "--epochs", "9", "--learning-rate", "0.1",
    ]

    @Test func theReportShowsWhatTheyFound() throws {
      let folder = try TemporaryFolder()
      let options = ["--evaluate-every", "1 steps", "--evaluation-data", try Workplace.data()] + Self.options
      let outcome = try Workplace.train(options + ["--max-steps", "2"], output: folder("run"))
      try #require(outcome.code == 0, "\(outcome.errors)")
      let report = try Evaluating.evaluated(folder("run")).report
      for title in ["Image AUROC", "Pixel AUROC", "AUPRO"] { #expect(report.contains(">\(title) on the way</h3>")) }
      #expect(report.contains("held-out normal images"))
    }

    @Test func evaluationsChangeNoBit() throws {
      let expected = try Workplace.stepwise()
      let options = [
        "--evaluate-every", "1 steps", "--evaluation-data", try Workplace.data(), "--best-by", "pixel_auroc",
        "--checkpoint-every", "1 steps", "--keep-checkpoints", "5", "--statistics", "checkpoint",
      ]
      var all: [[Event]] = []
      for ranks in [nil, 3] {
        let folder = try TemporaryFolder()
        let outcome = try Workplace.train(options, output: folder("run"), ranks: ranks)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let run = try TrainedRun(folder("run"), outcome)
        #expect(run.hashes == expected.hashes && run.steps == expected.steps)
        let events = try Self.events(run.path)
        #expect(events.map(\.step) == [1, 2, 3, 4, 5] && events.map(\.epoch) == [1, 1, 1, 2, 2])
        #expect(outcome.count(of: "chosen by the pixel_auroc of the TEST images") == 1)
        all.append(events)

        let best = try #require(events.max { $0.pixelAuroc ?? 0 < $1.pixelAuroc ?? 0 })
        #expect(try Self.best(run.path).last == TrainedRun.name(best.step))
        #expect(try hash(ofFile: "\(run.path)/best/\(TrainedRun.name(best.step))") == expected.hashes[best.step])
        guard ranks == nil else { continue }
        // What is logged is what rd-eval says, but for the digits that the tests' own reading and writing loses.
        let evaluated = try Evaluating.evaluated("\(run.path)/best")
        #expect(evaluated.number("step") == Double(best.step))
        let logged = ["image_auroc": best.imageAuroc, "pixel_auroc": best.pixelAuroc, "aupro": best.aupro]
        for (key, value) in logged {
          #expect(abs(try #require(evaluated.number(key)) - (try #require(value))) < 1e-14, "\(key)")
        }
      }
      #expect(all[0] == all[1])
    }

    @Test func trainingEndsWhereItGetsNoBetter() throws {
      let folder = try TemporaryFolder()
      let evaluating = Self.options + ["--evaluate-every", "1 steps"]
      let whole = try Workplace.train(evaluating, output: folder("whole"))
      try #require(whole.code == 0, "\(whole.errors)")
      let events = try Self.events(folder("whole"))
      let losses = events.compactMap(\.validationLoss)
      #expect(losses.count == 9 && events.allSatisfy { $0.imageAuroc == nil })
      // The first time that a loss is no lower than all before.
      let end = try #require(losses.indices.first { $0 > 0 && losses[$0] >= losses[..<$0].min() ?? 0 }) + 1
      #expect(end < 9)
      let best = try #require(losses[..<end].indices.min { losses[$0] < losses[$1] }) + 1
      let hashes = try TrainedRun(folder("whole"), whole).hashes
      try FileManager.default.removeItem(atPath: folder("whole"))

      let early = evaluating + ["--early-stop", "1"]
      // Stopped on the way, and at one go.
      for stops in [[1, end - 1], []] {
        let run = folder("early \(stops)")
        for stop in stops {
          let part = try Workplace.train(early + ["--max-steps", "\(stop)"], output: run, ranks: 3)
          #expect(part.code == 0, "\(part.errors)")
        }
        let outcome = try Workplace.train(early, output: run)
        #expect(outcome.code == 0 && outcome.count(of: "training ends early") == 1, "\(outcome.errors)")
        #expect(try Self.events(run) == Array(events[..<end]))
        #expect(try TrainedRun(run, outcome).steps.count == end)
        #expect(try Self.best(run).last == TrainedRun.name(best))
        let again = try Workplace.train(early, output: run, ranks: 2)
        #expect(again.code == 0 && again.count(of: "sha256") == 0, "\(again.errors)")
        if !stops.isEmpty { try FileManager.default.removeItem(atPath: run) }
      }
      // With more patience the same run goes on, as if it had not ended.
      let outcome = try Workplace.train(evaluating, output: folder("early []"), ranks: 2)
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(try TrainedRun(folder("early []"), outcome).hashes[9] == hashes[9])
      #expect(try Self.events(folder("early []")) == events)
    }

    /// Of so many test images that a signal after the step arrives while they are scored.
    @Test func anEvaluationThatIsStoppedIsDoneAgain() throws {
      let folder = try TemporaryFolder()
      let test = folder("data/surface/test")
      try FileManager.default.createDirectory(atPath: folder("data/surface"), withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: Workplace.data() + "/surface/test", toPath: test)
      for number in 100..<400 {
        try FileManager.default.createSymbolicLink(atPath: "\(test)/good/\(number).png", withDestinationPath: "000.png")
      }
      let options = ["--evaluate-every", "1 steps", "--evaluation-data", folder("data"), "--max-steps", "1"]
      let tool = try Workplace.start(options, output: folder("run"), ranks: 2)
      try tool.waits(toSay: "step 1/1 epoch ")
      try #require(kill(try tool.processIdentifier(ofRank: 1), SIGTERM) == 0)
      let stopped = try tool.wait()
      #expect(stopped.code == 75 && stopped.count(of: "stopped by SIGTERM") == 1, "\(stopped.errors)")
      #expect(try TrainedRun(folder("run"), stopped).hashes.keys.sorted() == [1])
      #expect(try Self.events(folder("run")).isEmpty)

      let resumed = try Workplace.train(options, output: folder("run"))
      #expect(resumed.code == 0, "\(resumed.errors)")
      #expect(try Self.events(folder("run")).map(\.step) == [1])
    }

    /// What the run can do without does not end it.
    @Test func aBestCheckpointThatCannotBeWrittenIsAWarning() throws {
      let folder = try TemporaryFolder()
      try FileManager.default.createDirectory(atPath: folder("run"), withIntermediateDirectories: true)
      try Data().write(to: folder.url.appendingPathComponent("run/best"))
      let outcome = try Workplace.train(
        ["--validation-fraction", "0.25", "--evaluate-every", "1 steps", "--max-steps", "2"], output: folder("run"),
        ranks: 2)
      #expect(outcome.code == 0 && outcome.count(of: "warning: no best checkpoint of step 1") == 1, "\(outcome.errors)")
      #expect(try TrainedRun(folder("run"), outcome).hashes.keys.sorted() == [2])
      #expect(try Self.events(folder("run")).map(\.step) == [1, 2])
    }

    /// The best by one measure is not taken for the best by another, unless it is.
    @Test(arguments: [true, false])
    func theBestIsOfTheCriterionInUse(isTheSame: Bool) throws {
      let folder = try TemporaryFolder()
      let options =
        ["--evaluate-every", "1 steps", "--evaluation-data", try Workplace.data()] + Self.options + [
          "--max-steps", "3",
        ]
      let first = try Workplace.train(options, output: folder("run"))
      try #require(first.code == 0, "\(first.errors)")
      let before = try Self.best(folder("run"))
      let step = try #require(try Self.events(folder("run")).map(\.step).first { TrainedRun.name($0) == before.last })
      // As if the test images had found that step the best, or another one.
      let other = isTheSame ? step : step % 3 + 1
      let log = try String(contentsOfFile: folder("run/log.jsonl"), encoding: .utf8).split(separator: "\n").map {
        line in
        let value = line.contains("\"step\":\(other),") ? "1" : "0.5"
        return line.replacing(/"pixel_auroc":[^,]*/, with: "\"pixel_auroc\":\(value)") + "\n"
      }
      try Data(log.joined().utf8).write(to: folder.url.appendingPathComponent("run/log.jsonl"))
      #expect(try Self.events(folder("run")).max { $0.pixelAuroc ?? 0 < $1.pixelAuroc ?? 0 }?.step == other)

      let outcome = try Workplace.train(options + ["--best-by", "pixel_auroc"], output: folder("run"))
      #expect(outcome.code == 0, "\(outcome.errors)")
      #expect(FileManager.default.fileExists(atPath: folder("run/best")) == isTheSame)
      #expect(FileManager.default.fileExists(atPath: folder("run/best-1")) == !isTheSame)
      #expect(try Self.best(folder("run"), isTheSame ? "best" : "best-1") == before)
    }

    /// Killed after a best checkpoint, before the next one on the way: what is computed again is not kept twice.
    @Test func aBestOfALostLifeIsComputedAgain() throws {
      let folder = try TemporaryFolder()
      let run = folder("run")
      let options = ["--validation-fraction", "0.25", "--evaluate-every", "1 steps", "--epochs", "1000000"]
      let first = try Workplace.train(options + ["--max-steps", "2"], output: run)
      try #require(first.code == 0, "\(first.errors)")
      var last = 0
      for _ in 0..<2 {
        let tool = try Workplace.start(
          options + ["--max-steps", "1000000", "--checkpoint-every", "1000000 epochs"], output: run)
        try tool.waits(toSay: "best checkpoint ")
        try #require(kill(try tool.processIdentifier(), SIGKILL) == 0)
        let outcome = try tool.wait()
        last = try #require(outcome.errors.matches(of: /best\/step-(\d{8})\.h5 sha256/).compactMap { Int($0.1) }.last)
        #expect(last > 2 && outcome.count(of: " are now in ") == 0, "\(outcome.errors)")
      }
      let length = options + ["--max-steps", "\(last)"]
      let resumed = try Workplace.train(length, output: run, ranks: 2)
      let undisturbed = try Workplace.train(length, output: folder("undisturbed"))
      #expect(resumed.code == 0 && undisturbed.code == 0, "\(resumed.errors)\(undisturbed.errors)")
      #expect(resumed.count(of: " are now in ") == 0, "\(resumed.errors)")
      // The one that was the best before is there, too.
      let best = try Self.best(folder("undisturbed"))
      #expect(try Self.best(run) == best)
      #expect(best.last == TrainedRun.name(last))
      for name in best {
        #expect(try hash(ofFile: "\(run)/best/\(name)") == hash(ofFile: folder("undisturbed/best/\(name)")))
      }
    }

    /// Of a run whose other checkpoints are gone: a new one in its folder would not compute it again.
    @Test func aBestOfAnotherRunIsKept() throws {
      let folder = try TemporaryFolder()
      let options = ["--validation-fraction", "0.25", "--evaluate-every", "1 steps", "--max-steps", "1"]
      let first = try Workplace.train(options, output: folder("run"))
      try #require(first.code == 0, "\(first.errors)")
      let expected = try hash(ofFile: folder("run/best/\(TrainedRun.name(1))"))
      try FileManager.default.removeItem(atPath: folder("run/checkpoints"))
      let second = try Workplace.train(options + ["--seed", "2"], output: folder("run"))
      #expect(second.code == 0 && second.count(of: "are now in \(folder("run/best-1"))") == 1, "\(second.errors)")
      #expect(try hash(ofFile: folder("run/best-1/\(TrainedRun.name(1))")) == expected)
    }

    /// Found before the first step, and not in the first evaluation.
    @Test func aBadTestImageIsFoundAtOnce() throws {
      let folder = try TemporaryFolder()
      try FileManager.default.copyItem(atPath: Workplace.data(), toPath: folder("data"))
      try Data("no picture".utf8).write(to: folder.url.appendingPathComponent("data/surface/test/good/001.png"))
      let outcome = try Workplace.train(
        ["--evaluate-every", "2 epochs", "--evaluation-data", folder("data")], output: folder("run"), ranks: 2)
      #expect(outcome.code == 65 && outcome.count(of: "test/good/001.png: not a picture") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "step 1/") == 0)
    }

    @Test func whatCannotBeEvaluatedIsSaidAtOnce() throws {
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(
        ["--evaluate-every", "1", "--evaluation-data", folder("nowhere")], output: folder("run"), ranks: 2)
      #expect(outcome.code == 65 && outcome.count(of: "nowhere: no such folder") == 1, "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder("run")))
    }
  }
}
