import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Imagery

@Suite struct LabelledPicturesTests {
  private static func bigEndian(_ numbers: [Int]) -> [UInt8] {
    numbers.flatMap { number in [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) } }
  }

  /// Pictures of 2 x 3 pixels that hold their own number.
  private static func writeIDX(_ folder: String, _ part: String, labels: [UInt8], first: UInt8) throws {
    let images = labels.indices.flatMap { index in [UInt8](repeating: first + UInt8(index), count: 6) }
    let files: [(String, [UInt8])] = [
      ("images-idx3", [0, 0, 8, 3] + bigEndian([labels.count, 2, 3]) + images),
      ("labels-idx1", [0, 0, 8, 1] + bigEndian([labels.count]) + labels),
    ]
    for (name, bytes) in files { try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(part)-\(name)-ubyte")) }
  }

  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("labelled pictures \(UUID())").path
    try FileManager.default.createDirectory(atPath: "\(folder)/source", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }

  /// The first sample of each picture in a folder, in the order of their names.
  private func samples(_ folder: String) throws -> [UInt8] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted().map {
      try ImageFile.decode("\(folder)/\($0)").pixels[0]
    }
  }

  @Test func idxFilesBecomeACategoryForEachClass() throws {
    try withFolder { folder in
      try Self.writeIDX("\(folder)/source", "train", labels: [0, 1, 1, 2, 0], first: 10)
      try Self.writeIDX("\(folder)/source", "t10k", labels: [2, 1, 0, 1], first: 100)
      let source = try LabelledPictures(at: "\(folder)/source")
      #expect(source.classes == ["0", "1", "2"] && source.isSplit)
      #expect(try NoveltyDataSet.write(source, to: "\(folder)/out") == ["0", "1", "2"])
      #expect(try samples("\(folder)/out/1/train/good") == [11, 12])
      #expect(try samples("\(folder)/out/1/test/good") == [101, 103])
      #expect(try samples("\(folder)/out/1/test/0") == [102] && samples("\(folder)/out/1/test/2") == [100])
      #expect(try samples("\(folder)/out/0/test/1") == [101, 103])
      let picture = try ImageFile.decodeMask("\(folder)/out/1/test/0/2.png")
      #expect((picture.width, picture.height) == (3, 2) && Set(picture.pixels) == [102])
      // What the tools make of it.
      #expect(try DataSet("\(folder)/out").categories() == ["0", "1", "2"])
      let entries = try DataSet("\(folder)/out").test(category: "1")
      #expect(entries.count(where: \.isAnomalous) == 2 && entries.count == 4)
      try NoveltyDataSet.write(source, to: "\(folder)/few", normal: ["1"], limit: 1)
      #expect(try samples("\(folder)/few/1/train/good") == [11] && samples("\(folder)/few/1/test/good") == [101])
      #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/few") == ["1"])
    }
  }

  @Test func aTestSetAloneIsSplit() throws {
    try withFolder { folder in
      try Self.writeIDX("\(folder)/source", "t10k", labels: [1, 0, 1, 1, 0], first: 0)
      let source = try LabelledPictures(at: "\(folder)/source")
      #expect(!source.isSplit)
      try NoveltyDataSet.write(source, to: "\(folder)/out", normal: ["1"])
      #expect(try samples("\(folder)/out/1/train/good") == [0, 3] && samples("\(folder)/out/1/test/good") == [2])
      #expect(try samples("\(folder)/out/1/test/0") == [4])
    }
  }

  @Test func cifarsPlanesBecomePixels() throws {
    try withFolder { folder in
      for (file, labels) in [("data_batch_1.bin", [1, 0]), ("test_batch.bin", [0, 1])] as [(String, [UInt8])] {
        let bytes = labels.flatMap { label in
          [label] + [10, 20, 30].flatMap { [UInt8](repeating: $0 + label, count: 1024) }
        }
        try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/source/\(file)"))
      }
      try "airplane\ntruck\n\n".write(toFile: "\(folder)/source/batches.meta.txt", atomically: true, encoding: .utf8)
      let source = try LabelledPictures(at: "\(folder)/source")
      #expect(source.classes == ["airplane", "truck"] && source.isSplit)
      try NoveltyDataSet.write(source, to: "\(folder)/out", normal: ["truck"])
      let picture = try ImageFile.decode("\(folder)/out/truck/train/good/0.png")
      #expect(picture.width == 32 && Array(picture.pixels.suffix(3)) == [11, 21, 31])
      #expect(try samples("\(folder)/out/truck/test/airplane") == [10])
    }
  }

  @Test func foldersOfClassesAreCopied() throws {
    try withFolder { folder in
      for (name, count) in [("001.ak47", 3), ("002.flag", 2)] {
        try FileManager.default.createDirectory(atPath: "\(folder)/source/\(name)", withIntermediateDirectories: true)
        for number in 0..<count {
          let raster = Raster(width: 4, height: 4, channels: 3, filledWith: UInt8(50 * number))
          try Data(raster.encodedJPEG()).write(to: URL(fileURLWithPath: "\(folder)/source/\(name)/\(number).JPG"))
        }
        try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder)/source/\(name)/notes.txt"))
      }
      try NoveltyDataSet.write(LabelledPictures(at: "\(folder)/source"), to: "\(folder)/out")
      #expect(try samples("\(folder)/out/001.ak47/train/good") == [0, 100])
      #expect(try samples("\(folder)/out/002.flag/test/001.ak47") == [50])
      // The test pictures are there once, with several names.
      let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/out/002.flag/test/001.ak47/1.jpg")
      #expect(attributes[.referenceCount] as? Int == 2)
    }
  }

  @Test func whatIsDamagedIsRefused() throws {
    try withFolder { folder in
      func failure() -> Failure? { expectError(Failure.self) { try LabelledPictures(at: "\(folder)/source") } }
      #expect(failure()?.message.contains("neither IDX files") == true)
      try Self.writeIDX("\(folder)/source", "train", labels: [0, 1], first: 0)
      let path = "\(folder)/source/train-images-idx3-ubyte"
      let whole = try Data(contentsOf: URL(fileURLWithPath: path))
      for (bytes, message) in [
        (whole.dropLast(), "11 bytes where 2 x 2 x 3"), (Data([1]) + whole.dropFirst(), "not an IDX file"),
        (Data([0, 0, 8, 3] + [UInt8](repeating: 255, count: 12)), "bytes where"), (Data(), "not an IDX file"),
        (Data([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]), "damaged"),
      ] {
        try bytes.write(to: URL(fileURLWithPath: path))
        let found = failure()
        #expect(found?.code == .badData && found?.message.contains(message) == true, "\(found?.message ?? "-")")
      }
      try whole.write(to: URL(fileURLWithPath: path))
      try FileManager.default.removeItem(atPath: "\(folder)/source/train-labels-idx1-ubyte")
      #expect(failure()?.code == .badData)
    }
  }

  @Test func whatCannotBeMeantIsSaid() throws {
    try withFolder { folder in
      try Self.writeIDX("\(folder)/source", "train", labels: [0, 2], first: 0)
      let source = try LabelledPictures(at: "\(folder)/source")
      func failure(_ normal: [String], to target: String) -> Failure? {
        expectError(Failure.self) { try NoveltyDataSet.write(source, to: target, normal: normal) }
      }
      #expect(failure(["7"], to: "\(folder)/out")?.code == .usage)
      #expect(failure(["0"], to: "\(folder)/source")?.message.contains("not empty") == true)
      // Of class 1 there is no picture.
      #expect(failure(["1"], to: "\(folder)/out")?.code == .badData)
      // Class 0 was written before that was found.
      #expect(failure(["0", "1"], to: "\(folder)/out/")?.code == .badData)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["source"])
    }
  }
}
