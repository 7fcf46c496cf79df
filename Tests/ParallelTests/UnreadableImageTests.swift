import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Images that cannot be read: one ends the run, or all are left out.
  @Suite struct UnreadableImages {
    /// The ten images of the other tests among hundreds of files that are none.
    private static func data() throws -> (folder: TemporaryFolder, bad: Int) {
      let folder = try TemporaryFolder()
      let manager = FileManager.default
      let images = folder("surface/train/good")
      try manager.createDirectory(atPath: folder("surface/train"), withIntermediateDirectories: true)
      try manager.copyItem(atPath: Workplace.data() + "/surface/train/good", toPath: images)
      let codecs = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("ImageryTests/Fixtures/codecs")
      let jpegs = try ["color420", "color444", "grey", "ink", "progressive", "rgb"].map {
        ($0, [UInt8](try Data(contentsOf: codecs.appendingPathComponent("jpeg-\($0).jpg"))))
      }
      var bad = 0
      let pictures = BadPictures(seed: 2, jpegs: Dictionary(uniqueKeysWithValues: jpegs))
      for file in pictures.files where !file.isReadable {
        bad += 1
        try Data(file.bytes).write(to: URL(fileURLWithPath: "\(images)/bad \(bad).png"))
      }
      try manager.createDirectory(atPath: "\(images)/folder.png", withIntermediateDirectories: false)
      try manager.createSymbolicLink(atPath: "\(images)/link.png", withDestinationPath: "nowhere")
      try manager.createSymbolicLink(atPath: "\(images)/endless.png", withDestinationPath: "/dev/zero")
      try #require(mkfifo("\(images)/pipe.png", 0o644) == 0)
      let name = Array("\(images)/name".utf8CString.dropLast()) + [CChar(bitPattern: 0xFF), 0x2E, 0x70, 0x6E, 0x67, 0]
      #expect(close(creat(name, 0o644)) == 0)
      return (folder, bad + 5)
    }

    @Test func theyAreLeftOutOnAllRanksAlike() throws {
      let expected = try Workplace.standard()
      let (data, bad) = try Self.data()
      #expect(bad > 300)
      let images = data("surface/train/good")
      let strict = try Workplace.train(["--data", data.path], output: data("strict"), ranks: 2)
      #expect([65, 74].contains(strict.code) && strict.count(of: "rd-train: ") == 1, "\(strict.errors)")
      #expect(strict.count(of: "\(images)") == 1, "\(strict.errors)")

      for ranks in [1, 3] {
        let run = data("run \(ranks)")
        let options = ["--data", data.path, "--skip-unreadable"]
        let first = try Workplace.train(options + ["--max-steps", "3"], output: run, ranks: ranks)
        try #require(first.code == 0, "\(first.errors)")
        #expect(first.count(of: "warning: left out: ") == bad, "\(first.errors)")
        let list = try String(contentsOfFile: "\(run)/skipped.jsonl", encoding: .utf8).split(separator: "\n")
        #expect(list.count == bad)
        #expect(list.contains { $0.hasPrefix(#"{"image":"train/good/folder.png","reason":""#) })
        // An image that can be read by now is none of this run's.
        let (repaired, good) = ("\(images)/bad 7.png", "\(images)/003.png")
        let damaged = try Data(contentsOf: URL(fileURLWithPath: repaired))
        try Data(contentsOf: URL(fileURLWithPath: good)).write(to: URL(fileURLWithPath: repaired))
        let resumed = try Workplace.train(options, output: run, ranks: 4 - ranks)
        try damaged.write(to: URL(fileURLWithPath: repaired))
        try #require(resumed.code == 0, "\(resumed.errors)")
        #expect(try TrainedRun(run, resumed).hashes[5] == expected.hashes[5])
      }
      Thoroughness.report("\(bad) files left out on 1 and on 3 ranks: the bits of a run without them")
    }

    /// A run that began with all images goes on with all, or says which has become bad.
    @Test func anImageThatBecameBadIsNamed() throws {
      let folder = try TemporaryFolder()
      try FileManager.default.copyItem(atPath: Workplace.data() + "/surface", toPath: folder("surface"))
      let options = ["--data", folder.path, "--skip-unreadable"]
      let first = try Workplace.train(options + ["--max-steps", "3"], output: folder("run"))
      try #require(first.code == 0, "\(first.errors)")
      let image = folder.url.appendingPathComponent("surface/train/good/003.png")
      try Data(count: try Data(contentsOf: image).count).write(to: image)
      let resumed = try Workplace.train(options, output: folder("run"), ranks: 2)
      #expect(
        resumed.code == 65 && resumed.count(of: "train/good/003.png") == 1 && resumed.count(of: "left out") == 0,
        "\(resumed.errors)")
    }

    @Test func noImageAtAllIsSaid() throws {
      let folder = try TemporaryFolder()
      try FileManager.default.createDirectory(atPath: folder("train/good"), withIntermediateDirectories: true)
      for name in ["1.png", "2.png"] {
        try Data("text".utf8).write(to: URL(fileURLWithPath: folder("train/good/\(name)")))
      }
      let outcome = try ToolProcess.run(
        "rd-train",
        [
          "--data", folder.path, "--teacher", "random:1", "--backbone", "resnet18", "--output", folder("run"),
          "--skip-unreadable",
        ],
        ranks: 2)
      #expect(outcome.code == 65 && outcome.count(of: "none of the 2 images can be read") == 1, "\(outcome.errors)")
    }
  }
}
