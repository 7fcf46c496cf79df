import Foundation
import Imagery
import TestSupport
import Testing

/// Ten images, four of them held out.
private let heldOutRun = Shared {
  let path = try TemporaryFolder()
  let outcome = try Workplace.train(["--validation-fraction", "0.4"], output: path("run"))
  guard outcome.code == 0 else { throw ToolProcess.Trouble(description: outcome.errors) }
  return path
}

extension ParallelTests {
  /// rd-eval predict: what it says of images, whatever they are and on any number of ranks.
  @Suite(heldOutRun) struct Predicting {
    struct Line: Decodable, Equatable {
      struct Region: Decodable, Equatable {
        let x, y, width, height, area, peakX, peakY: Int
        let peak: Float
      }
      let path: String
      let verdict: String?
      let score: Double?
      let pValue: Double?
      let regions: [Region]
      let overlay: String?
      let error: String?
    }

    static func run() throws -> String { try heldOutRun.get()("run") }

    static func predict(_ arguments: [String], ranks: Int? = nil, in folder: URL? = nil) throws -> ToolProcess.Outcome {
      try ToolProcess.run("rd-eval", ["predict", try run()] + arguments, ranks: ranks, in: folder)
    }

    static func lines(_ outcome: ToolProcess.Outcome) throws -> [Line] {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try outcome.output.split(separator: "\n").map { try decoder.decode(Line.self, from: Data($0.utf8)) }
    }

    /// Every kind of trouble at once: 17 good images on three ranks are more than one round.
    @Test func anyNumberOfRanksSaysTheSame() throws {
      let folder = try TemporaryFolder()
      let manager = FileManager.default
      try manager.createDirectory(atPath: folder("parts/empty"), withIntermediateDirectories: true)
      try manager.createDirectory(atPath: folder("nothing"), withIntermediateDirectories: true)
      try manager.copyItem(atPath: Workplace.data() + "/surface/train/good", toPath: folder("parts/good"))
      try manager.copyItem(atPath: Workplace.data() + "/surface/test", toPath: folder("parts/test"))
      try Data("no picture".utf8).write(to: folder.url.appendingPathComponent("parts/broken.png"))
      try Data("no picture".utf8).write(to: folder.url.appendingPathComponent("parts/readme.txt"))
      try manager.createSymbolicLink(atPath: folder("parts/loop"), withDestinationPath: folder.path)
      var (outputs, pictures): ([String], [[Data]]) = ([], [])
      for ranks in [nil, 2, 3] {
        let outcome = try Self.predict(
          [
            "parts", "parts/good/000.png", "absent.png", "nothing", "--format", "jsonl", "--output", "out",
            "--exit-code",
          ],
          ranks: ranks, in: folder.url)
        #expect(outcome.code == 65, "\(outcome.errors)")
        #expect(outcome.count(of: "3 of 20 images could not be read") == 1, "\(outcome.errors)")
        for message in [
          "parts/broken.png: not a picture", "absent.png: No such file", "nothing: no pictures in this folder",
        ] {
          #expect(outcome.count(of: message) == 1, "\(message)\n\(outcome.errors)")
        }
        outputs.append(outcome.output)
        let lines = try Self.lines(outcome)
        let normal = (0..<10).map { "good/00\($0)" }
        let test = ["good/000", "good/001", "hole/000", "missing_thread/000", "scratch/000", "stain/000"]
        let found = ["broken"] + normal + test.map { "test/\($0)" } + ["good/000"]
        #expect(lines.map(\.path) == found.map { "parts/\($0).png" } + ["absent.png", "nothing"])
        #expect(lines.map { $0.verdict == nil } == lines.map { $0.error != nil })
        let overlays = lines.compactMap(\.overlay)
        #expect(overlays.count == 17 && Set(overlays).count == 17 && overlays.last == "out/000.png")
        pictures.append(try overlays.map { try Data(contentsOf: folder.url.appendingPathComponent($0)) })
        try manager.removeItem(atPath: folder("out"))
      }
      #expect(outputs[1] == outputs[0] && outputs[2] == outputs[0])
      #expect(pictures[1] == pictures[0] && pictures[2] == pictures[0])
    }

    @Test func predictionAndEvaluationAgree() throws {
      let folder = try TemporaryFolder()
      let evaluated = try ToolProcess.run(
        "rd-eval",
        [Self.run(), "--data", Workplace.data(), "--category", "surface", "--output", folder("out")])
      try #require(evaluated.code == 0, "\(evaluated.errors)")
      let table = try String(contentsOfFile: folder("out/scores.csv"), encoding: .utf8).split(separator: "\n")
        .dropFirst().map { $0.split(separator: ",", omittingEmptySubsequences: false) }
      let lines = try Self.lines(Self.predict([Workplace.data() + "/surface/test", "--format", "jsonl"]))
      #expect(lines.count == 6 && table.count == 6)
      for (line, row) in zip(lines, table) {
        #expect(line.path.hasSuffix(row[0]) && line.score == Double(row[3]))
        #expect(line.verdict == String(row[7]) && line.pValue == Double(row[8]))
        #expect(line.regions.isEmpty == (line.verdict == "normal"))
        #expect((line.regions.first?.peak).map(Double.init) ?? line.score == line.score)
      }
      let verdicts =
        try JSONSerialization.jsonObject(
          with: Data(contentsOf: URL(fileURLWithPath: folder("out/metrics.json")))) as? [String: Any]
      let summary = try #require(verdicts?["verdicts"] as? [String: Any])
      #expect(summary["normal_images"] as? Int == 4 && summary["normal_images_held_out"] as? Bool == true)
      let alarms = (summary["false_alarms"] as? [String: Any])?["count"] as? Int
      #expect(alarms == lines.count { $0.path.contains("/good/") && $0.verdict == "anomalous" })
    }

    /// A picture of another shape than the network's: boxes are in its own pixels.
    @Test func regionsAreInThePicturesPixels() throws {
      let folder = try TemporaryFolder()
      var picture = try ImageFile.decode(Workplace.data() + "/surface/train/good/000.png").resized(
        width: 320, height: 96)
      for y in 60..<90 {
        for x in 200..<280 { for channel in 0..<3 { picture.pixels[3 * (y * 320 + x) + channel] = 255 } }
      }
      try picture.writePNG(to: folder("wide.png"))
      // Everything is anomalous, and regions are what is highest.
      let outcome = try Self.predict([folder("wide.png"), "--format", "jsonl", "--threshold", "0", "--exit-code"])
      #expect(outcome.code == 1 && outcome.count(of: "1 of 1 images are anomalous") == 1, "\(outcome.errors)")
      let line = try #require(try Self.lines(outcome).first)
      let region = try #require(line.regions.first)
      #expect(region.x == 0 && region.y == 0 && region.width == 320 && region.height == 96 && region.area == 320 * 96)
      #expect(line.score.map { Float($0) } == region.peak && line.verdict == "anomalous")
      let tight = try Self.lines(
        Self.predict([folder("wide.png"), "--format", "jsonl", "--threshold", "\(region.peak)"]))
      let small = try #require(tight.first?.regions.first)
      #expect(small.peak == region.peak && small.peakX == region.peakX && small.width < 320)
      #expect((small.x..<small.x + small.width).contains(small.peakX))
      #expect((small.y..<small.y + small.height).contains(small.peakY))
    }

    @Test func verdictsAndExitStatusFollowTheThreshold() throws {
      let good = try Workplace.data() + "/surface/train/good"
      let never = try Self.predict([good, "--threshold", "1000", "--exit-code"], ranks: 2)
      #expect(never.code == 0 && never.output.split(separator: "\n").count == 11)
      #expect(never.output.hasPrefix("path,verdict,score,p_value,regions,x,y,"))
      #expect(never.output.split(separator: "\n").dropFirst().allSatisfy { $0.contains(".png,normal,") })
      let always = try Self.predict([good, "--threshold=-1"])
      #expect(
        always.code == 0 && always.output.split(separator: "\n").dropFirst().allSatisfy { $0.contains(",anomalous,") })
      let half = try Self.predict([good, "--false-alarm-rate", "0.5"])
      #expect(half.code == 0 && half.count(of: "for false alarms in 50 % of normal images") == 1, "\(half.errors)")
      for options in [
        ["--false-alarm-rate", "0"], ["--false-alarm-rate", "0.1", "--threshold", "1"], ["--format", "xml"],
      ] {
        let outcome = try Self.predict([good] + options)
        #expect(outcome.code == 64 && outcome.output.isEmpty, "\(outcome.errors)")
      }
    }

    @Test func whatIsNotKnownIsSaid() throws {
      let good = try Workplace.data() + "/surface/train/good/000.png"
      // Trained on all images.
      let optimistic = try ToolProcess.run("rd-eval", ["predict", Workplace.standard().path, good])
      #expect(optimistic.code == 0 && optimistic.count(of: "are optimistic") == 1, "\(optimistic.errors)")
      // Written on the way.
      let folder = try TemporaryFolder()
      let trained = try Workplace.train(["--checkpoint-every", "1 steps", "--max-steps", "2"], output: folder("run"))
      #expect(trained.code == 0, "\(trained.errors)")
      let onTheWay = folder("run/checkpoints/step-00000001.h5")
      for options in [[onTheWay, good], [folder("run"), good, "--scales", "M1"]] {
        let none = try ToolProcess.run("rd-eval", ["predict"] + options, ranks: 2)
        #expect(none.code == 64 && none.count(of: "there is no threshold") == 1, "\(none.errors)")
        let given = try ToolProcess.run("rd-eval", ["predict"] + options + ["--threshold", "0.1", "--format", "jsonl"])
        let line = try #require(try Self.lines(given).first, "\(given.errors)")
        #expect(given.code == 0 && line.pValue == nil)
      }
      let f1 = try ToolProcess.run(
        "rd-eval",
        [
          Workplace.standard().path, "--data", Workplace.data(), "--category", "surface", "--output",
          TemporaryFolder()("out"), "--threshold-from", "f1",
        ])
      #expect(f1.code == 0 && f1.count(of: "the threshold was chosen with the test labels") == 1, "\(f1.errors)")
    }

    /// A list arrives line by line, with folders in it, some ended as in Windows, its last line without an end.
    @Test func imagesAreTakenFromStandardInput() throws {
      let data = try Workplace.data() + "/surface/train/good"
      let list = "(echo '\(data)/000.png'; sleep 1; printf '%s\\r\\n\\n%s' '\(data)/001.png' '\(data)')"
      let outcome = try ToolProcess.run("rd-eval", ["predict", Self.run(), "-"], shell: "exec < <\(list)")
      #expect(outcome.code == 0, "\(outcome.errors)")
      let paths = outcome.output.split(separator: "\n").dropFirst().map { $0.prefix { $0 != "," } }
      #expect(paths == ["000.png", "001.png"].map { "\(data)/\($0)" } + (0..<10).map { "\(data)/00\($0).png" })
    }

    /// Nothing that is opened takes its place, and a folder is no list.
    @Test func standardInputMayBeClosedOrNoList() throws {
      for (input, code) in [("<&-", 0), ("< .", 74)] {
        let outcome = try ToolProcess.run("rd-eval", ["predict", Self.run(), "-"], shell: "exec \(input)")
        #expect(outcome.code == Int32(code), "\(input): \(outcome.errors)")
        #expect(outcome.output.split(separator: "\n").count == 1)
      }
    }

    @Test func twoPicturesHaveTwoFiles() throws {
      let folder = try TemporaryFolder()
      let picture = try ImageFile.decode(Workplace.data() + "/surface/train/good/000.png")
      try FileManager.default.createDirectory(atPath: folder("in"), withIntermediateDirectories: true)
      try Data(picture.encodedJPEG()).write(to: folder.url.appendingPathComponent("in/a.jpg"))
      try picture.writePNG(to: folder("in/a.jpg.png"))
      let lines = try Self.lines(Self.predict(["in", "--format", "jsonl", "--output", "out"], in: folder.url))
      #expect(lines.compactMap(\.overlay) == ["out/in/a.jpg.png", "out/in/a.jpg-2.png"])
    }

    @Test(arguments: [(["part.png"], "."), (["./part.png"], "../in"), (["."], "."), (["../in/"], "..")])
    func noPictureIsReplacedByItsResult(pictures: [String], output: String) throws {
      let folder = try TemporaryFolder()
      let inside = URL(fileURLWithPath: folder("in"))
      try FileManager.default.createDirectory(at: inside, withIntermediateDirectories: true)
      let good = try Data(contentsOf: URL(fileURLWithPath: Workplace.data() + "/surface/train/good/000.png"))
      try good.write(to: inside.appendingPathComponent("part.png"))
      let outcome = try Self.predict(pictures + ["--output", output], ranks: 2, in: inside)
      #expect(outcome.code == 78 && outcome.count(of: "name another folder with --output") == 1, "\(outcome.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: inside.path) == ["part.png"])
      #expect(try Data(contentsOf: inside.appendingPathComponent("part.png")) == good)
    }

    /// A name that is not UTF-8, and errors that --quiet lets pass.
    @Test func aNameThatCannotBeReadDoesNotStopTheOthers() throws {
      let folder = try TemporaryFolder()
      let good = try Workplace.data() + "/surface/train/good/000.png"
      let outcome = try ToolProcess.run(
        "rd-eval", ["predict", Self.run(), "parts", "--format", "jsonl", "--quiet"], in: folder.url,
        shell: #"mkdir parts && cp "\#(good)" parts/good.png && cp "\#(good)" parts/$'bad\xff.png'"#)
      #expect(outcome.code == 65 && outcome.count(of: "1 of 2 images could not be read") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "error: parts: the name \"bad\u{FFFD}.png\"") == 1, "\(outcome.errors)")
      #expect(try Self.lines(outcome).map(\.verdict).count { $0 != nil } == 1)
    }

    /// The sum over 1024 pixels reaches the threshold, so that some of these reach its 1024th part.
    @Test func anAnomalousSumHasRegions() throws {
      let good = try Workplace.data() + "/surface/train/good/000.png"
      let line = try #require(
        try Self.lines(
          Self.predict([good, "--format", "jsonl", "--score", "sum", "--scales", "M1", "--threshold", "1"])
        ).first)
      #expect(line.verdict == "anomalous" && !line.regions.isEmpty)
    }

    @Test func outputThatCannotBeWrittenIsSaid() throws {
      let folder = try TemporaryFolder()
      try Data().write(to: folder.url.appendingPathComponent("file"))
      let good = try Workplace.data() + "/surface/train/good/000.png"
      let outcome = try Self.predict([good, "--output", folder("file/out")], ranks: 2)
      #expect(outcome.code == 74 && outcome.count(of: "cannot be made") == 1, "\(outcome.errors)")
    }
  }
}
