import Checkpoints
import Collectives
import Evaluation
import Foundation
import Imagery
import Jobs
import Metrics
import TestSupport
import Testing

/// 300 images.
private let largeSet = Shared {
  let folder = try TemporaryFolder()
  let made = try ToolProcess.run(
    "rd-data",
    [
      "synthesize", folder("data"), "--image-size", "64", "--train", "1", "--test-good", "140", "--test-defects",
      "40",
    ])
  guard made.code == 0 else { throw ToolProcess.Trouble(description: made.errors) }
  return folder
}

extension ParallelTests {
  /// rd-eval on sets of which memory holds a small part only.
  @Suite(largeSet) struct LargeSets {
    /// Pixels of 1.2 MB in 16 KB.
    @Test(arguments: [1, 3])
    func manyRoundsGiveTheBitsOfOneSort(ranks: Int) throws {
      let (data, folder) = (try largeSet.get()("data"), try TemporaryFolder())
      let checkpoint = try Workplace.standard().checkpoint(5)
      let evaluations = try LocalCommunicator.run(size: ranks) { communicator in
        var options = EvaluationOptions(
          DetectorOptions(checkpoint: checkpoint, threads: 1), dataSet: DataSet(data), dataName: data,
          category: "surface", output: folder("out"))
        options.pixelMemory = 16 << 10
        return try Evaluator(options, over: communicator, console: Console(rank: 1)).evaluate()
      }

      let maps = try #require(HDF5TensorFile.read(path: folder("out/maps/maps.h5"))["maps"])
      let entries = try DataSet(data).test(category: "surface")
      #expect(maps.shape == [entries.count, 32, 32] && entries.count == 300)
      let images = try entries.enumerated().map { index, entry in
        let map = Array(maps.values[index * 1024..<(index + 1) * 1024])
        return ScoredImage(
          score: Double(map.max() ?? 0), defect: entry.isAnomalous ? entry.kind : nil, map: map,
          mask: try entry.maskPath.map {
            try ImageFile.decodeMask($0).resized(width: 32, height: 32).binaryMask()
          })
      }
      let expected = try Evaluation(images: images, width: 32, height: 32)
      for evaluation in evaluations {
        #expect(evaluation.overall == expected.overall)
        #expect(evaluation.byDefect == expected.byDefect && expected.byDefect.count == 4)
        #expect(evaluation.imageROC == expected.imageROC)
        #expect(evaluation.pixels?.roc == expected.pixels?.roc && evaluation.pixels?.pro == expected.pixels?.pro)
        #expect(evaluation.pixels?.regions == expected.pixels?.regions)
      }
      #expect(try Self.unfinished(in: folder("out")).isEmpty)
    }

    /// Room for neither all maps nor their file: nothing half-written is left.
    @Test(arguments: [40, 400])
    func aFullDiskIsSaid(fileSize: Int) throws {
      let folder = try TemporaryFolder()
      let outcome = try ToolProcess.run(
        "rd-eval",
        [
          Workplace.standard().path, "--data", largeSet.get()("data"), "--category", "surface", "--output",
          folder("out"),
        ], shell: "ulimit -f \(fileSize)")
      #expect(outcome.code == 74 && outcome.count(of: "out (scratch file of ") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: "cannot be written: File too large") == 1, "\(outcome.errors)")
      #expect(try Self.unfinished(in: folder("out")).isEmpty)
      #expect(!FileManager.default.fileExists(atPath: folder("out/metrics.json")))
    }

    private static func unfinished(in folder: String) throws -> [String] {
      try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.contains(".partial") }
    }
  }
}
