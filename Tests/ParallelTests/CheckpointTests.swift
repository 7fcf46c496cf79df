import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// What a run keeps, and what it goes on from.
  @Suite struct Checkpoints {
    @Test func aDamagedCheckpointIsPassedOver() throws {
      let expected = try Workplace.standard()
      let folder = try TemporaryFolder()
      let options = ["--checkpoint-every", "1 steps", "--max-steps", "3"]
      let first = try Workplace.train(options, output: folder("run"))
      try #require(first.code == 0, "\(first.errors)")
      let run = try TrainedRun(folder("run"), first)
      #expect(run.hashes.keys.sorted() == [1, 2, 3])
      #expect(try run.checkpoints() == ["step-00000002.h5", "step-00000003.h5"])
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: run.path).sorted()
          == ["checkpoints", "config.toml", "events.out.tfevents", "lock", "log.csv", "log.jsonl", "provenance.jsonl"])
      #expect(try String(contentsOfFile: "\(run.path)/config.toml", encoding: .utf8).contains("batch_size = 4"))

      try truncate(run.checkpoint(3))
      let second = try Workplace.train(["--checkpoint-every", "1 steps"], output: run.path, ranks: 2)
      try #require(second.code == 0, "\(second.errors)")
      #expect(second.count(of: "warning: step-00000003.h5: ") == 1)
      #expect(second.count(of: "going on from \(run.path)/checkpoints/step-00000002.h5") == 1)
      let end = try TrainedRun(run.path, second)
      #expect(end.hashes[3] != nil && end.hashes[5] == expected.hashes[5])
      #expect(end.steps == expected.steps)
      #expect(try end.checkpoints() == ["step-00000004.h5", "step-00000005.h5"])

      // There is nothing left to do, and nothing is written.
      let third = try Workplace.train(output: run.path)
      #expect(third.code == 0 && third.count(of: "sha256") == 0)
      #expect(try TrainedRun.log("\(run.path)/log.jsonl") == expected.steps)
    }

    /// The disk is full early, and late, when ranks have given away most of their moments.
    @Test(arguments: [(nil, 100_000), (3, 20_000), (3, 150_000)])
    func aFullDiskLeavesThePreviousCheckpoint(ranks: Int?, fileSize: Int) throws {
      let expected = try Workplace.stepwise()
      let folder = try TemporaryFolder()
      let run = folder("run")
      try FileManager.default.createDirectory(atPath: "\(run)/checkpoints", withIntermediateDirectories: true)
      let name = TrainedRun.name(4)
      try FileManager.default.copyItem(atPath: expected.checkpoint(4), toPath: "\(run)/checkpoints/\(name)")
      let outcome = try Workplace.train(output: run, ranks: ranks, shell: "ulimit -f \(fileSize)")
      #expect(outcome.code == 74, "\(outcome.errors)")
      #expect(
        outcome.count(of: "step-00000005.h5.partial: cannot be written: File too large") == 1, "\(outcome.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints") == [name])
      #expect(try hash(ofFile: "\(run)/checkpoints/\(name)") == expected.hashes[4])
    }

    @Test(arguments: ["never", "file"])
    func whatAnEarlierRunLeftIsPutAside(resume: String) throws {
      let expected = try Workplace.stepwise()
      let folder = try TemporaryFolder()
      let manager = FileManager.default
      try manager.createDirectory(atPath: folder("run/checkpoints"), withIntermediateDirectories: true)
      try Data("old".utf8).write(to: folder.url.appendingPathComponent("run/checkpoints/step-00000009.h5"))
      try Data("{}\n".utf8).write(to: folder.url.appendingPathComponent("run/log.jsonl"))
      let outcome = try Workplace.train(
        ["--resume", resume == "never" ? resume : expected.checkpoint(4)], output: folder("run"))
      try #require(outcome.code == 0, "\(outcome.errors)")
      let run = try TrainedRun(folder("run"), outcome)
      #expect(run.hashes[5] == expected.hashes[5])
      #expect(run.steps == (resume == "never" ? expected.steps : Array(expected.steps.suffix(1))))
      #expect(outcome.count(of: "are now in \(run.path)/checkpoints-1") == 1)
      #expect(manager.fileExists(atPath: folder("run/checkpoints-1/step-00000009.h5")))
      #expect(try Data(contentsOf: folder.url.appendingPathComponent("run/log-1.jsonl")) == Data("{}\n".utf8))
    }

    /// Who needs room removes the checkpoints put aside, and keeps their log.
    @Test func noLogPutAsideIsOverwritten() throws {
      let folder = try TemporaryFolder()
      let (manager, options) = (FileManager.default, ["--resume", "never", "--max-steps", "1"])
      for _ in 0..<2 { #expect(try Workplace.train(options, output: folder("run")).code == 0) }
      try manager.removeItem(atPath: folder("run/checkpoints-1"))
      let log = try hash(ofFile: folder("run/log-1.jsonl"))
      let outcome = try Workplace.train(options, output: folder("run"))
      #expect(
        outcome.code == 0 && outcome.count(of: "are now in \(folder("run/checkpoints-2"))") == 1, "\(outcome.errors)")
      #expect(try hash(ofFile: folder("run/log-1.jsonl")) == log)
      #expect(manager.fileExists(atPath: folder("run/log-2.jsonl")))
    }

    /// A line for each life and for each checkpoint, and none of what a crash cut off.
    @Test func theProvenanceGrows() throws {
      let folder = try TemporaryFolder()
      let path = folder("run/provenance.jsonl")
      var hashes: [String?] = []
      for (step, ranks) in [(2, nil), (3, 2)] as [(Int, Int?)] {
        let outcome = try Workplace.train(
          ["--checkpoint-every", "1 steps", "--max-steps", "\(step)"], output: folder("run"), ranks: ranks)
        try #require(outcome.code == 0, "\(outcome.errors)")
        let written = try TrainedRun(folder("run"), outcome).hashes.sorted { $0.key < $1.key }.map(\.value)
        hashes += [nil] + written
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data("{\"checkpoint\":".utf8))
        try file.close()
      }
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").dropLast()
      let objects = try lines.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
      #expect(objects.map { $0?["sha256"] as? String } == hashes)
      #expect(objects.map { $0?["after_step"] as? Int } == [0, nil, nil, 2, nil])
    }

    /// What stands in the place of the checkpoint to go on from is not taken for it.
    @Test func anotherFileOfThatStepIsPutAside() throws {
      let expected = try Workplace.stepwise()
      let folder = try TemporaryFolder()
      try FileManager.default.createDirectory(atPath: folder("run/checkpoints"), withIntermediateDirectories: true)
      let old = "run/checkpoints/\(TrainedRun.name(4))"
      try Data("damaged".utf8).write(to: folder.url.appendingPathComponent(old))
      let outcome = try Workplace.train(["--resume", expected.checkpoint(4)], output: folder("run"))
      try #require(outcome.code == 0, "\(outcome.errors)")
      #expect(try hash(ofFile: folder(old)) == expected.hashes[4])
      #expect(try TrainedRun(folder("run"), outcome).hashes[5] == expected.hashes[5])
      let aside = folder.url.appendingPathComponent("run/checkpoints-1/\(TrainedRun.name(4))")
      #expect(try Data(contentsOf: aside) == Data("damaged".utf8))
    }

    struct Refusal: CustomTestStringConvertible {
      let options: [String]
      var code: Int32 = 78
      let parts: [String]
      var testDescription: String { options.joined(separator: " ") }
    }

    static let refusals = [
      Refusal(options: ["--batch-size", "5"], parts: ["batch_size", "4", "5"]),
      Refusal(options: ["--seed", "2"], parts: ["seed", "111", "2"]),
      Refusal(options: ["--preset", "paper"], parts: ["loss", "flattened", "per_pixel", "fusion", "concatenation"]),
      Refusal(options: ["--image-size", "64"], parts: ["image_size", "32", "64"]),
      Refusal(options: ["--logical-shards", "4"], parts: ["logical_shards", "8", "4"]),
      Refusal(options: ["--learning-rate", "0.25"], parts: ["learning_rate", "0.005", "0.25"]),
      Refusal(options: ["--engine", "openblas"], parts: ["engine", "vector", "openblas"]),
      Refusal(options: ["--precision", "bf16"], parts: ["precision", "fp32", "bf16"]),
      Refusal(options: ["--teacher", "random:2"], code: 65, parts: ["random:2 is not the teacher"]),
    ]

    @Test(arguments: refusals)
    func anotherComputationIsRefused(refusal: Refusal) throws {
      let run = try Workplace.standard()
      let outcome = try Workplace.train(refusal.options, output: run.path)
      #expect(outcome.code == refusal.code)
      for part in refusal.parts + ["cannot go on from its checkpoint", "--resume never"] {
        #expect(outcome.errors.contains(part), "\(part): \(outcome.errors)")
      }
      #expect(try hash(ofFile: run.checkpoint(5)) == run.hashes[5])
    }

    /// A checkpoint of another run, given by name, is refused before anything in the folder changes.
    @Test func aRefusedFileLeavesTheFolderAsItIs() throws {
      let run = try Workplace.standard()
      let folder = try TemporaryFolder()
      try FileManager.default.copyItem(atPath: run.path, toPath: folder("run"))
      let before = try FileManager.default.subpathsOfDirectory(atPath: folder("run")).sorted()
      let outcome = try Workplace.train(
        ["--batch-size", "5", "--resume", run.checkpoint(5)], output: folder("run"), ranks: 2)
      #expect(outcome.code == 78 && outcome.count(of: "batch_size") == 1, "\(outcome.errors)")
      #expect(try FileManager.default.subpathsOfDirectory(atPath: folder("run")).sorted() == before)
    }

    @Test func otherImagesAreRefused() throws {
      let run = try Workplace.standard()
      let folder = try TemporaryFolder()
      let images = "surface/train/good"
      try FileManager.default.createDirectory(atPath: folder("surface/train"), withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: Workplace.data() + "/" + images, toPath: folder(images))
      // The same images elsewhere are the same.
      let same = try Workplace.train(["--data", folder.path], output: run.path)
      #expect(same.code == 0, "\(same.errors)")
      try FileManager.default.moveItem(atPath: folder(images + "/009.png"), toPath: folder(images + "/010.png"))
      let other = try Workplace.train(["--data", folder.path], output: run.path, ranks: 2)
      #expect(other.code == 65)
      #expect(other.count(of: "are not those that it began with") == 1)
    }
  }
}
