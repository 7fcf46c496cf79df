import Foundation
import Imagery
import TestSupport
import Testing

extension ParallelTests {
  /// rd-eval, whose numbers depend on the checkpoint and the images only.
  @Suite struct Evaluating {
    /// What an evaluation wrote.
    struct Evaluated {
      let outcome: ToolProcess.Outcome
      /// metrics.json without what is measured and not computed.
      let metrics: Data
      let scores: String
      let mapHash: String
      /// The names of the pictures.
      let pictures: [String]
      let report: String

      subscript(key: String) -> Any? { (try? JSONSerialization.jsonObject(with: metrics) as? [String: Any])?[key] }
      func number(_ key: String) -> Double? { self[key] as? Double }
      /// But for those that ten normal images which were trained on are too few, and too low.
      var warnings: [String] {
        (self["warnings"] as? [String] ?? []).filter { !$0.contains("are optimistic") && !$0.contains("cannot show") }
      }

      init(_ outcome: ToolProcess.Outcome, _ folder: TemporaryFolder) throws {
        self.outcome = outcome
        let file = try Data(contentsOf: URL(fileURLWithPath: folder("out/metrics.json")))
        var json = try #require(try JSONSerialization.jsonObject(with: file) as? [String: Any])
        for key in ["inference_seconds_per_image", "peak_memory_bytes"] {
          let value = json.removeValue(forKey: key) as? Double
          #expect(value ?? 0 > 0, "\(key)")
        }
        metrics = try JSONSerialization.data(withJSONObject: json, options: .sortedKeys)
        scores = try String(contentsOfFile: folder("out/scores.csv"), encoding: .utf8)
        mapHash = try hash(ofFile: folder("out/maps/maps.h5"))
        let names = FileManager.default.enumerator(atPath: folder("out/maps"))?.allObjects as? [String] ?? []
        report = try String(contentsOfFile: folder("out/report.html"), encoding: .utf8)
        pictures = names.filter { $0.hasSuffix(".png") }.sorted()
      }
    }

    static func evaluate(
      _ checkpoint: String, data: String? = nil, _ options: [String] = [], ranks: Int? = nil,
      shell: String? = nil, in folder: TemporaryFolder
    ) throws -> ToolProcess.Outcome {
      let data = try data ?? Workplace.data()
      return try ToolProcess.run(
        "rd-eval", [checkpoint, "--data", data, "--category", "surface", "--output", folder("out")] + options,
        ranks: ranks, shell: shell)
    }

    static func evaluated(
      _ checkpoint: String, data: String? = nil, _ options: [String] = [], ranks: Int? = nil, shell: String? = nil
    ) throws -> Evaluated {
      let folder = try TemporaryFolder()
      let outcome = try evaluate(checkpoint, data: data, options, ranks: ranks, shell: shell, in: folder)
      guard outcome.code == 0 else { throw ToolProcess.Trouble(description: outcome.errors) }
      return try Evaluated(outcome, folder)
    }

    private static let standard = Result { try evaluated(Workplace.standard().path) }

    /// The numbers of before are not left beside what has changed.
    @Test func anEvaluationThatFailsLeavesNoMetrics() throws {
      let folder = try TemporaryFolder()
      try FileManager.default.copyItem(atPath: Workplace.data(), toPath: folder("data"))
      let checkpoint = try Workplace.standard().path
      try #require(try Self.evaluate(checkpoint, data: folder("data"), in: folder).code == 0)
      try Data("no picture".utf8).write(to: folder.url.appendingPathComponent("data/surface/test/good/001.png"))
      #expect(try Self.evaluate(checkpoint, data: folder("data"), in: folder).code == 65)
      #expect(!FileManager.default.fileExists(atPath: folder("out/metrics.json")))
    }

    /// A shell's words that give rank 1 options of its own.
    private static func onRank1(_ options: String) -> String {
      #"[ $OMPI_COMM_WORLD_RANK != 1 ] || set -- "$@" "# + options
    }

    /// Seven ranks are more than there are images. One has its own number of threads.
    @Test(arguments: [2, 3, 7])
    func anyNumberOfRanksGivesTheSameResults(ranks: Int) throws {
      let expected = try Self.standard.get()
      let results = try Self.evaluated(
        Workplace.standard().path, ranks: ranks, shell: Self.onRank1("--threads 2"))
      #expect(results.metrics == expected.metrics)
      #expect(results.scores == expected.scores)
      #expect(results.mapHash == expected.mapHash)
      #expect(results.pictures == expected.pictures && results.pictures.count == 6)
      // All but the times, and what was computed where.
      func computed(_ report: String) throws -> Substring {
        report[..<(try #require(report.range(of: "id=\"time\"")).lowerBound)]
      }
      #expect(try computed(results.report) == computed(expected.report))
    }

    @Test func ranksThatAreToldDifferentlyAreNamed() throws {
      let folder = try TemporaryFolder()
      let outcome = try Self.evaluate(
        Workplace.standard().path, ranks: 2, shell: Self.onRank1("--scales M1+M2"), in: folder)
      #expect(outcome.code == 65 && outcome.count(of: "scales and score") == 1, "\(outcome.errors)")
    }

    @Test func theResultsAreComplete() throws {
      let results = try Self.standard.get()
      for key in ["image_auroc", "pixel_auroc", "aupro", "aupro_reference", "image_ap", "image_f1max"] {
        let value = try #require(results.number(key), "\(key)")
        #expect((0...1).contains(value), "\(key)")
      }
      let kinds = (results["per_defect"] as? [String: Any])?.keys.sorted()
      #expect(kinds == ["hole", "missing_thread", "scratch", "stain"])
      #expect(results.scores.split(separator: "\n").count == 7)
      #expect(results.warnings.isEmpty && results.outcome.count(of: "warning") == 2)
      // Four defects and two normal images, each with what is known of it.
      #expect(results.report.matches(of: #/src="data:image\/jpeg;base64,/#).count == 4 * 3 + 2 * 2)
      #expect(results.report.contains(">Training loss</h3>") && results.report.contains("image_size = 32"))
      #expect(results.number("step") == 5 && results["checkpoint"] as? String == "step-00000005.h5")
    }

    @Test func aCheckpointsFileIsAsGoodAsItsRun() throws {
      let (expected, run) = (try Self.standard.get(), try Workplace.standard())
      let results = try Self.evaluated(run.checkpoint(5), ["--threads", "3"])
      #expect(results.metrics == expected.metrics)
      #expect(results.scores == expected.scores && results.mapHash == expected.mapHash)
    }

    /// What an evaluation does not need it does not read; a training does.
    @Test func damageToTheMomentsDoesNotMatter() throws {
      let (expected, run) = (try Self.standard.get(), try Workplace.standard())
      let folder = try TemporaryFolder()
      try FileManager.default.copyItem(atPath: run.path, toPath: folder("run"))
      try damageMiddle(folder("run/checkpoints/\(TrainedRun.name(5))"))
      let training = try Workplace.train(output: folder("run"))
      #expect(training.code == 65 && training.errors.contains("/optimizer/"), "\(training.errors)")
      let results = try Self.evaluated(folder("run"), ranks: 2)
      #expect(results.metrics == expected.metrics && results.outcome.count(of: "warning") == 2)
      #expect(results.scores == expected.scores && results.mapHash == expected.mapHash)
    }

    @Test func scalesAndScoreCanBeChosen() throws {
      let run = try Workplace.standard()
      let one = try Self.evaluated(run.path, ["--scales", "M2", "--score", "sum"])
      let three = try Self.evaluated(run.path, ["--scales", "M2", "--score", "sum"], ranks: 3)
      #expect(one.metrics == three.metrics && one.scores == three.scores && one.mapHash == three.mapHash)
      #expect(one["scales"] as? String == "M2" && one["score"] as? String == "sum")
      #expect(try one.scores != Self.standard.get().scores)
      let folder = try TemporaryFolder()
      for options in [["--scales", "M4"], ["--score", "mean"]] {
        let outcome = try Self.evaluate(run.path, options, in: folder)
        #expect(outcome.code == 64 && outcome.errors.contains(options[1]), "\(outcome.errors)")
      }
    }

    @Test(arguments: [["--engine", "openblas"], ["--precision", "bf16"]])
    func enginesAndPrecisionsCanBeChosen(options: [String]) throws {
      let run = try Workplace.standard()
      let one = try Self.evaluated(run.path, options)
      let three = try Self.evaluated(run.path, options + ["--threads", "2"], ranks: 3)
      #expect(one.metrics == three.metrics && one.scores == three.scores && one.mapHash == three.mapHash)
      #expect(try one.mapHash != Self.standard.get().mapHash)
    }

    @Test func aPrecisionThatTheEngineHasNot() throws {
      let folder = try TemporaryFolder()
      let outcome = try Self.evaluate(
        Workplace.standard().path, ["--engine", "openblas", "--precision", "bf16"], ranks: 2, in: folder)
      #expect(outcome.code == 78 && outcome.count(of: "openblas computes in fp32 only") == 1, "\(outcome.errors)")
    }

    // MARK: Test sets that lack something

    /// A copy of the data set without training images.
    private static func copyOfData() throws -> TemporaryFolder {
      let folder = try TemporaryFolder()
      try FileManager.default.createDirectory(atPath: folder("surface"), withIntermediateDirectories: true)
      for part in ["test", "ground_truth"] {
        try FileManager.default.copyItem(
          atPath: Workplace.data() + "/surface/\(part)", toPath: folder("surface/\(part)"))
      }
      return folder
    }

    @Test func withoutDefectsThereIsNothingToMeasure() throws {
      let data = try Self.copyOfData()
      for kind in ["hole", "missing_thread", "scratch", "stain"] {
        try FileManager.default.removeItem(atPath: data("surface/test/\(kind)"))
      }
      let results = try Self.evaluated(Workplace.standard().path, data: data.path, ranks: 2)
      for key in ["image_auroc", "pixel_auroc", "aupro", "aupro_reference", "image_ap", "image_f1max"] {
        #expect(results[key] is NSNull, "\(key)")
      }
      #expect(results.scores.split(separator: "\n").count == 3 && results.pictures.count == 2)
      // The images' own scores are what they are in company.
      let expected = try Self.standard.get().scores.split(separator: "\n").filter { $0.contains("/good/") }
      #expect(results.scores.split(separator: "\n").dropFirst() == expected[...])
    }

    @Test func masksThatAreMissingOrVanishAreSaid() throws {
      let data = try Self.copyOfData()
      try FileManager.default.removeItem(atPath: data("surface/ground_truth/hole/000_mask.png"))
      // One white pixel in a corner, which resizing to half the size takes away.
      var mask = Raster(width: 64, height: 64, channels: 1)
      mask.pixels[0] = 255
      try mask.writePNG(to: data("surface/ground_truth/stain/000_mask.png"))
      try Raster(width: 32, height: 64, channels: 1, filledWith: 255)
        .writePNG(to: data("surface/ground_truth/scratch/000_mask.png"))
      try Raster(width: 64, height: 64, channels: 1, filledWith: 200)
        .writePNG(to: data("surface/ground_truth/missing_thread/000_mask.png"))
      let results = try Self.evaluated(Workplace.standard().path, data: data.path, ranks: 2)
      #expect(results.warnings.count == 4, "\(results.warnings)")
      for part in [
        "test/hole/000.png: no mask", "test/stain/000.png: the mask marks no pixel",
        "test/scratch/000.png: the mask is 32 x 64 pixels, the image 64 x 64",
        "test/missing_thread/000.png: the mask holds greys",
      ] {
        #expect(results.warnings.contains { $0.contains(part) }, "\(part)")
        #expect(results.outcome.count(of: part) == 1)
      }
      #expect(try results.number("image_auroc") == Self.standard.get().number("image_auroc"))
    }

    @Test(arguments: ["surface/ground_truth/hole/000_mask.png", "surface/test/good/001.png"])
    func aDamagedFileIsNamed(file: String) throws {
      let data = try Self.copyOfData()
      try truncate(data(file))
      let outcome = try ToolProcess.run(
        "rd-eval",
        [Workplace.standard().path, "--data", data.path, "--category", "surface", "--output", data("out")], ranks: 3)
      #expect(outcome.code == 65 && outcome.count(of: "\(data(file)): ") == 1, "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: data("out/metrics.json")))
    }

    @Test func aDataSetWithoutMasksIsSaidOnce() throws {
      let data = try Self.copyOfData()
      try FileManager.default.removeItem(atPath: data("surface/ground_truth"))
      let results = try Self.evaluated(Workplace.standard().path, data: data.path)
      #expect(results.warnings == ["none of the 4 anomalous images has a mask: there are no pixel metrics"])
      #expect(results.outcome.count(of: "has a mask") == 1 && results["pixel_auroc"] is NSNull)
      #expect(try results.number("image_auroc") == Self.standard.get().number("image_auroc"))
    }

    @Test func evaluationsAreCompared() throws {
      let folders = try [TemporaryFolder(), TemporaryFolder()]
      defer { withExtendedLifetime(folders) {} }
      for (folder, options) in zip(folders, [[], ["--scales", "M3"]]) {
        let outcome = try Self.evaluate(Workplace.standard().path, options, in: folder)
        #expect(outcome.code == 0, "\(outcome.errors)")
      }
      let outputs = folders.map { $0("out") }
      let compared = try ToolProcess.run("rd-eval", ["compare"] + outputs)
      #expect(
        compared.code == 0 && compared.output.hasPrefix("A: \(outputs[0])\nB: \(outputs[1])\n"), "\(compared.errors)")
      #expect(compared.output.contains("\nimage AUROC\n") && compared.output.contains("\nsurface "))
      let json = try ToolProcess.run("rd-eval", ["compare"] + outputs + ["--format", "json"])
      let lines = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]]
      #expect(lines?.count == 7)
      for (arguments, code, message) in [
        ([outputs[0]], 64, "nothing to be compared with"), ([outputs[0], outputs[0] + "/maps"], 65, "no metrics.json"),
        (outputs + ["--format", "xml"], 64, "--format xml"), ([outputs[0], "--paper"], 65, "there is no carpet"),
      ] as [([String], Int32, String)] {
        let outcome = try ToolProcess.run("rd-eval", ["compare"] + arguments)
        #expect(outcome.code == code && outcome.count(of: message) == 1, "\(outcome.errors)")
      }
    }

    // MARK: Teachers

    @Test func aCheckpointWithoutTeacherNeedsIt() throws {
      let run = try Workplace.withoutTeacher()
      let folder = try TemporaryFolder()
      let without = try Self.evaluate(run.path, ranks: 2, in: folder)
      #expect(without.code == 64 && without.count(of: "holds no teacher") == 1 && without.count(of: "--teacher") == 1)
      let wrong = try Self.evaluate(run.path, ["--teacher", "random:2"], in: folder)
      #expect(wrong.code == 65 && wrong.count(of: "random:2: not the teacher that the student was trained with") == 1)
      let right = try Self.evaluate(run.path, ["--teacher", "random:1"], in: folder)
      #expect(right.code == 0, "\(right.errors)")
      // The weights that a checkpoint holds are compared as well.
      let other = try Self.evaluate(Workplace.standard().path, ["--teacher", "random:2"], in: folder)
      #expect(other.code == 65 && other.count(of: "random:2: not the teacher") == 1)
    }

    // MARK: Checkpoints that lack something

    @Test func whatIsNoCheckpointIsSaid() throws {
      let folder = try TemporaryFolder()
      let manager = FileManager.default
      let missing = try Self.evaluate(folder("nowhere"), ranks: 2, in: folder)
      #expect(missing.code == 65 && missing.count(of: "nowhere: No such file or directory") == 1, "\(missing.errors)")
      try manager.createDirectory(atPath: folder("empty/checkpoints"), withIntermediateDirectories: true)
      let empty = try Self.evaluate(folder("empty"), in: folder)
      #expect(empty.code == 65 && empty.count(of: "empty: holds no checkpoint") == 1)

      try manager.createDirectory(atPath: folder("run/checkpoints"), withIntermediateDirectories: true)
      let file = folder("run/checkpoints/step-00000005.h5")
      try manager.copyItem(atPath: Workplace.standard().checkpoint(5), toPath: file)
      try truncate(file)
      let truncated = try Self.evaluate(file, ranks: 2, in: folder)
      #expect(truncated.code == 65 && truncated.count(of: "\(file): ") == 1, "\(truncated.errors)")
      let none = try Self.evaluate(folder("run"), ranks: 2, in: folder)
      #expect(none.code == 65 && none.count(of: "warning: step-00000005.h5: ") == 1, "\(none.errors)")
      #expect(none.count(of: "none of the 1 checkpoints can be used") == 1)
      #expect(!manager.fileExists(atPath: folder("out")))
    }
  }
}
