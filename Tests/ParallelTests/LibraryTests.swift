import Diagnostics
import Foundation
import Imagery
import ReverseDistillation
import TestSupport
import Testing

extension ParallelTests {
  /// The library for other programs.
  @Suite struct Library {
    struct Line: Decodable {
      let path: String
      let verdict: String
      let score: Double
    }

    private static func pictures() throws -> [String] {
      let folder = try Workplace.data() + "/surface/test"
      return ["\(folder)/good/000.png", "\(folder)/hole/000.png"]
    }

    @Test func theExampleSaysWhatRdEvalSays() throws {
      let (run, pictures) = (try Workplace.standard(), try Self.pictures())
      let outcome = try ToolProcess.run("rd-eval", ["predict", run.path] + pictures + ["--format", "jsonl"])
      let expected = try outcome.output.split(separator: "\n").map {
        try JSONDecoder().decode(Line.self, from: Data($0.utf8))
      }
      try #require(outcome.code == 0 && expected.count == 2, "\(outcome.errors)")
      let example = try ToolProcess.run("score-image", [run.path] + pictures)
      #expect(example.code == 0 && example.errors.isEmpty, "\(example.errors)")
      #expect(
        example.output == expected.map { "\($0.path) \($0.verdict) \($0.score)\n" }.joined(), "\(example.output)")
      #expect(try ToolProcess.run("score-image").code == 64)
    }

    @Test func aPictureInMemoryIsJudgedAsItsFile() throws {
      let (run, picture) = (try Workplace.standard(), try Self.pictures()[1])
      let detector = try AnomalyDetector(checkpoint: run.path, threshold: 0, threads: 2)
      let file = try detector.judge(picture)
      #expect(file.isAnomalous && file.side == 32 && file.map.count == 32 * 32 && file.pValue != nil)
      let maximum = try #require(file.map.max())
      #expect(file.score == Double(maximum))
      let raster = try ImageFile.decode(picture)
      let memory = try detector.judge(rgb: raster.pixels, width: raster.width, height: raster.height)
      #expect(memory.score == file.score && memory.map == file.map)
      #expect(throws: Failure.self) { try detector.judge(rgb: raster.pixels, width: 3, height: 3) }
      #expect(throws: Failure.self) { try detector.judge("nowhere.png") }
      #expect(throws: Failure.self) { try AnomalyDetector(checkpoint: "nowhere") }
    }
  }
}
