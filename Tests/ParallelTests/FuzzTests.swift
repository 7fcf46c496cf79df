import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// Hostile files, each read by a process of its own: a crash is its end.
  @Suite struct Fuzzing {
    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent()

    private static func files(_ folder: String, _ endings: [String]) throws -> [String] {
      let folder = fixtures.appendingPathComponent(folder).path
      return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        .filter { name in endings.contains { name.hasSuffix($0) } && !name.hasPrefix("many") }.map { "\(folder)/\($0)" }
    }

    @Test(arguments: [
      ("tensors", "TensorFilesTests/Fixtures", [".pth", ".zip", ".pkl"], 3000),
      ("tensors", "TensorFilesTests/Fixtures", [".safetensors"], 3000), ("checkpoint", "", [], 500),
      ("teacher", "", [], 1000), ("configuration", "", [], 1000),
      ("picture", "ImageryTests/Fixtures/codecs", [".png"], 2000),
      ("picture", "ImageryTests/Fixtures/codecs", [".jpg"], 2000),
      ("picture", "ImageryTests/Fixtures/codecs", [".tif"], 2000),
      ("picture", "ImageryTests/Fixtures/codecs", [".bmp"], 2000),
      ("picture", "ImageryTests/Fixtures/codecs", [".webp"], 2000),
    ])
    func everyFileIsReadOrRefused(reader: String, folder: String, endings: [String], sample: Int) throws {
      let files = folder.isEmpty ? [] : try Self.files(folder, endings)
      let count = Thoroughness.count(100_000, sample: sample)
      // For HDF5: memory that nothing has been written to holds no zeros, so that a pointer read there is none. All of it is then taken, which
      // pictures ask for and do not use.
      let environment = folder.isEmpty ? ["MALLOC_PERTURB_": "170"] : [:]
      let outcome = try ToolProcess.run(
        "fuzz-probe", [reader, "\(count)", "1"] + files, environment: environment, seconds: 3000)
      #expect(outcome.code == 0, "\(outcome.errors)")
      Thoroughness.report("\(endings.joined(separator: " ")) \(outcome.output)")
      let numbers = outcome.output.split { !$0.isNumber }.compactMap { Int($0) }
      try #require(numbers.count == 5)
      #expect(numbers[1] + numbers[2] == count && numbers[2] > count / 20)
      #expect(numbers[3] < 5000 && numbers[4] < 512, "\(outcome.output)")
    }
  }
}
