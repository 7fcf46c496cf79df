import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// The same images in other layouts: the same training, the same scores.
  @Suite struct Layouts {
    private static let manager = FileManager.default

    /// Copies the test data's images to where `place` puts those of each of its folders, such as "test/hole".
    private static func lay(_ place: (_ part: String, _ name: String) -> String, into folder: String) throws {
      let data = try Workplace.data() + "/surface"
      for case let file as String in manager.enumerator(atPath: data) ?? .init() where file.hasSuffix(".png") {
        let (part, name) = ((file as NSString).deletingLastPathComponent, (file as NSString).lastPathComponent)
        let target = "\(folder)/\(place(part, name))"
        try manager.createDirectory(
          atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try manager.copyItem(atPath: "\(data)/\(file)", toPath: target)
      }
    }

    private static func kind(_ part: String) -> String { (part as NSString).lastPathComponent }

    /// Trains with an evaluation on the way, evaluates, and gives the checkpoint's steps, the last event of the log and the scores by image name.
    private static func outcome(
      _ data: [String], testedWith tested: [String] = []
    ) throws -> (loss: [Double], auroc: Double?, scores: Set<String>) {
      let folder = try TemporaryFolder()
      let model = Array(try Workplace.standardOptions().dropFirst(4))
      let trained = try ToolProcess.run(
        "rd-train", data + tested + model + ["--output", folder("run"), "--evaluate-every", "1 epochs"])
      try #require(trained.code == 0, "\(trained.errors)")
      let lines = try String(contentsOfFile: folder("run/log.jsonl"), encoding: .utf8).split(separator: "\n").map {
        try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:]
      }
      let evaluated = try ToolProcess.run("rd-eval", [folder("run")] + data + ["--output", folder("out")])
      try #require(evaluated.code == 0, "\(evaluated.errors)")
      let scores = try String(contentsOfFile: folder("out/scores.csv"), encoding: .utf8).split(separator: "\n")
        .dropFirst().map { $0.split(separator: ",")[2...3].joined(separator: " ") }
      return (
        lines.compactMap { $0["loss"] as? Double }, lines.compactMap { $0["image_auroc"] as? Double }.last, Set(scores)
      )
    }

    @Test func theSameImagesGiveTheSameNumbers() throws {
      let folder = try TemporaryFolder()
      let mvtec = try Workplace.data()
      let expected = try Self.outcome(
        ["--data", mvtec, "--category", "surface"], testedWith: ["--evaluation-data", mvtec])
      #expect(expected.loss.count == 5 && expected.auroc != nil && expected.scores.count == 6)

      // All that is wrong is "ko", so names get their kind before them, which keeps their order.
      try Self.lay(
        { part, name in
          switch part {
          case "train/good", "test/good": part.replacing("good", with: "ok") + "/\(name)"
          default: part.prefix { $0 != "/" } + "/ko/\(Self.kind(part))-" + name.replacing("_mask", with: "")
          }
        }, into: folder("btad/01"))
      let btad = try Self.outcome(
        ["--data", folder("btad"), "--category", "01"], testedWith: ["--evaluation-data", folder("btad")])

      var (table, visa) = ("split,label,mask,path\n", "object,split,label,image,mask\n")
      try Self.lay(
        { part, name in
          let path = "\(part)/\(name)"
          if part.hasPrefix("ground_truth") { return path }
          let split = part.prefix { $0 != "/" }
          let kind = Self.kind(part)
          let mask = kind == "good" ? "" : "ground_truth/\(kind)/\(name.replacing(".png", with: "_mask.png"))"
          table += "\(split),\(kind),\(mask),\(path)\n"
          visa += "thing,\(split),\(kind == "good" ? "normal" : "anomaly"),\(path),\(mask)\n"
          return path
        }, into: folder("table"))
      try Data(table.utf8).write(to: folder.url.appendingPathComponent("table/images.csv"))
      try Self.manager.createDirectory(atPath: folder("table/split_csv"), withIntermediateDirectories: false)
      try Data(visa.utf8).write(to: folder.url.appendingPathComponent("table/split_csv/1cls.csv"))
      let csv = try Self.outcome(
        ["--data", folder("table/images.csv")], testedWith: ["--evaluation-data", folder("table/images.csv")])
      let named = try Self.outcome(
        ["--data", folder("table"), "--category", "thing", "--layout", "visa"],
        testedWith: ["--evaluation-data", folder("table")])
      for other in [btad, csv, named] {
        #expect(other.loss == expected.loss && other.auroc == expected.auroc && other.scores == expected.scores)
      }
    }

    @Test func foldersOfImagesAreADataSet() throws {
      let folder = try TemporaryFolder()
      try Self.lay(
        { part, name in
          switch part {
          case "train/good": "ok/\(name)"
          case "test/good": "unused/\(name)"
          case let part where part.hasPrefix("test/"): "bad/\(Self.kind(part))/\(name)"
          default: "masks/\(Self.kind(part))/\(name)"
          }
        }, into: folder.path)
      let data = ["--normal", folder("ok"), "--anomalous", folder("bad"), "--masks", folder("masks")]
      let outcome = try Self.outcome(data)
      // Two of ten normal images, and one of each of four kinds.
      #expect(outcome.auroc != nil && outcome.scores.count == 6)

      let model = Array(try Workplace.standardOptions().dropFirst(4))
      for (options, message) in [
        (try ["--data", Workplace.data()] + data, "data and normal are given"),
        (["--anomalous", folder("bad")], "--data is missing"),
        (["--normal", folder("ok"), "--masks", folder("masks")], "masks is given, and anomalous is not"),
        (["--normal", folder("nothing")], "no such folder"),
      ] {
        let refused = try ToolProcess.run("rd-train", options + model + ["--output", folder("x")])
        #expect([64, 65, 78].contains(refused.code) && refused.errors.contains(message), "\(refused.errors)")
      }
    }

    @Test func anAuditSaysWhatIsThere() throws {
      let folder = try TemporaryFolder()
      let data = try Workplace.data()
      let text = try ToolProcess.run("rd-data", ["audit", data, "--sheet", folder("sheet.png")])
      #expect(text.code == 0 && text.output.hasPrefix("surface\n"), "\(text.errors)")
      #expect(text.output.contains("10 normal\n") && text.output.contains("2 normal, 4 anomalous (66 %): hole 1, "))
      #expect(text.output.contains("64 x 64: 16\n"))
      #expect(Self.manager.fileExists(atPath: folder("sheet.png")))
      let json = try ToolProcess.run("rd-data", ["audit", data, "--category", "surface", "--format", "json"])
      let audits = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]]
      #expect(audits?.count == 1 && audits?[0]["training"] as? Int == 10)
      let full = try ToolProcess.run("rd-data", ["audit", data, "--format", "json"], shell: "exec > /dev/full")
      #expect(full.code == 74 && full.count(of: "standard output: cannot be written") == 1, "\(full.errors)")
      for arguments in [["audit", folder("nothing")], ["audit", data, "--layout", "visas"]] {
        let refused = try ToolProcess.run("rd-data", arguments)
        #expect([64, 65].contains(refused.code) && refused.output.isEmpty)
      }
    }
  }
}
