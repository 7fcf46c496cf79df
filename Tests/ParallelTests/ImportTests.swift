import Foundation
import Imagery
import TestSupport
import Testing

extension ParallelTests {
  /// rd-data import, and what the other tools make of it.
  @Suite struct Importing {
    @Test func labelledPicturesAreTrainedAndEvaluated() throws {
      let folder = try TemporaryFolder()
      for (name, value) in [("dark", 40), ("light", 200)] as [(String, UInt8)] {
        try FileManager.default.createDirectory(atPath: folder("source/\(name)"), withIntermediateDirectories: true)
        for number in 0..<6 as Range<UInt8> {
          try Raster(width: 32, height: 32, channels: 3, filledWith: value + number)
            .writePNG(to: folder("source/\(name)/\(number).png"))
        }
      }
      let imported = try ToolProcess.run("rd-data", ["import", folder("source"), folder("data")])
      #expect(imported.code == 0 && imported.count(of: "no split of its own") == 1, "\(imported.errors)")
      #expect(imported.output == "\(folder("data"))/dark\n\(folder("data"))/light\n")
      let trained = try ToolProcess.run(
        "rd-train",
        [
          "--data", folder("data"), "--category", "all", "--teacher", "random:1", "--backbone", "resnet18",
          "--image-size", "32", "--epochs", "1", "--output", folder("runs"),
        ])
      #expect(trained.code == 0, "\(trained.errors)")
      let evaluated = try ToolProcess.run(
        "rd-eval",
        [folder("runs"), "--data", folder("data"), "--category", "all", "--score", "sum", "--output", folder("out")])
      #expect(evaluated.code == 0 && evaluated.count(of: "3 anomalous images has a mask") == 2, "\(evaluated.errors)")

      let again = try ToolProcess.run("rd-data", ["import", folder("source"), folder("data")])
      #expect(again.code == 64 && again.count(of: "not empty") == 1)
      let unknown = try ToolProcess.run("rd-data", ["import", folder("source"), folder("new"), "--normal", "drak"])
      #expect(unknown.code == 64 && unknown.count(of: "did you mean dark?") == 1)
      let nothing = try ToolProcess.run("rd-data", ["import", folder("missing"), folder("new")])
      #expect(nothing.code == 65 && nothing.count(of: "missing: no such folder") == 1)
    }
  }
}
