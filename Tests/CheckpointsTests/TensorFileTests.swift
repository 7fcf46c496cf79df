import Diagnostics
import FileSystem
import Foundation
import TensorFiles
import TestSupport
import Testing

@testable import Checkpoints

@Suite struct HDF5TensorFileTests {
  @Test func plainFilesComeBack() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/teacher.h5"
      let tensors = [tensor("layer1.0.conv1.weight", [4, 3, 3, 3], seed: 1), tensor("bn1.bias", [4], seed: 2)]
      try writeTensors(tensors, to: path)
      let table = try HDF5TensorFile.read(path: path)
      #expect(table.tensors == tensors.reversed())
      #expect(try TensorFile.format(of: path) == .hdf5)
      #expect(try namesInFolder(folder) == ["teacher.h5"])
    }
  }

  @Test func otherFloatsAreConvertedAndOtherThingsLeftOut() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/teacher.h5"
      let bytes = try hdf5Bytes { root in
        try root.write("bn1.weight", [1.5, -2.25] as [Double], shape: [2])
        try root.write("bn1.num_batches_tracked", [Int64(7)], shape: [])
        try root.write("comment", ["text"])
        try root.makeGroup("group") { try $0.write("inner", [Float(1)], shape: [1]) }
      }
      try writeFile(path, bytes: bytes)
      let table = try HDF5TensorFile.read(path: path)
      #expect(table.tensors == [NamedTensor(name: "bn1.weight", shape: [2], values: [1.5, -2.25])])
    }
  }

  @Test func theTeacherOfACheckpointIsRead() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/step.h5"
      let state = State()
      try writeFile(path, bytes: state.encoded())
      #expect(try HDF5TensorFile.read(path: path).tensors == state.teacher)
      try writeFile(path, bytes: state.with { $0.teacher = [] }.encoded())
      let failure = expectError(Failure.self) { try HDF5TensorFile.read(path: path) }
      #expect(failure?.message.contains("only the hash") == true)
    }
  }

  @Test func theOldestFormatIsRefused() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/old.h5"
      var bytes = try hdf5Bytes { try $0.write("a", [Float(1)], shape: [1]) }
      // The version stands behind the signature.
      bytes[8] = 0
      try writeFile(path, bytes: bytes)
      let failure = expectError(Failure.self) { try HDF5TensorFile.read(path: path) }
      #expect(failure?.code == .badData && failure?.message.contains("oldest format") == true)
    }
  }

  @Test func filesWithoutWeightsAreFailures() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      for bytes in [[], [1, 2, 3], try hdf5Bytes { _ in }] {
        try writeFile(path, bytes: bytes)
        let failure = expectError(Failure.self) { try HDF5TensorFile.read(path: path) }
        #expect(failure?.code == .badData)
      }
      #expect(throws: Failure.self) { try HDF5TensorFile.read(path: "\(folder)/b.h5") }
      #expect(throws: Failure.self) { try writeTensors([], to: "/nonexistent/a.h5") }
    }
  }
}

@Suite struct MapArchiveTests {
  private struct Content: Sendable {
    let shape: [Int]
    let maps: [Float]
    let scales: [Int64]
    let paths: [String]
    let scores: [Double]
  }

  private func content(of path: String) throws -> Content {
    try HDF5File.read(OpenFile(reading: path)) { root in
      let (shape, maps) = try root.numbers("maps", as: Float.self)
      return Content(
        shape: shape, maps: maps, scales: try root.numbers("maps", attribute: "scales", as: Int64.self),
        paths: try root.texts("paths"), scores: try root.list("scores", as: Double.self))
    }
  }

  @Test func mapsComeBack() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/maps.h5"
      let archive = try MapArchive(path: path, size: 24, scales: [1, 2, 3], producer: "rd-eval 0.1.0")
      #expect(try namesInFolder(folder) == ["maps.h5.partial"])
      let maps = (0..<7).map { randomNumbers(24 * 24, seed: UInt64($0)) }
      let paths = (0..<7).map { "test/größe/\(String(repeating: "x", count: $0)).png" }
      for (index, map) in maps.enumerated() {
        try archive.append(path: paths[index], score: Double(index) / 3, map: map)
      }
      try archive.finish()
      #expect(try namesInFolder(folder) == ["maps.h5"])
      let content = try content(of: path)
      #expect(content.shape == [7, 24, 24])
      #expect(content.maps == maps.flatMap { $0 })
      #expect(content.scales == [1, 2, 3])
      #expect(content.paths == paths)
      #expect(content.scores == (0..<7).map { Double($0) / 3 })
      #expect(throws: Failure.self) { try archive.finish() }
      #expect(throws: Failure.self) { try archive.append(path: "", score: 0, map: maps[0]) }
    }
  }

  @Test func noMapsAreAFileToo() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/maps.h5"
      try MapArchive(path: path, size: 8, scales: [2], producer: "test").finish()
      let content = try content(of: path)
      #expect(content.shape == [0, 8, 8])
      #expect(content.paths.isEmpty && content.scores.isEmpty)
    }
  }

  @Test func anUnfinishedFileIsRemoved() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/maps.h5"
      try writeFile(path, bytes: [1])
      do {
        let archive = try MapArchive(path: path, size: 8, scales: [1], producer: "test")
        try archive.append(path: "a", score: 1, map: [Float](repeating: 1, count: 64))
        #expect(throws: Failure.self) { try archive.append(path: "b", score: 1, map: [1]) }
      }
      #expect(try namesInFolder(folder) == ["maps.h5"])
      #expect(try readFile(path) == [1])
    }
  }

  @Test func aFolderThatIsNotThereIsAFailure() {
    let failure = expectError(Failure.self) {
      try MapArchive(path: "/nonexistent/maps.h5", size: 8, scales: [1], producer: "test")
    }
    #expect(failure?.code == .inputOutput)
  }
}

extension HDF5Group {
  /// An attribute of a dataset.
  fileprivate func numbers<Number: HDF5Number>(
    _ dataset: String, attribute name: String, as: Number.Type
  ) throws -> [Number] {
    try openDataset(dataset) { id, _, _, _ in try with(id, dataset).numbers(attribute: name, as: Number.self) }
  }
}
