import Foundation
import TestSupport
import Testing

@testable import TensorFiles

/// What is written is read back to the bit. That PyTorch and safetensors' own library read it is shown by scripts/check-exchange.
@Suite struct WritingTests {
  private static let tensors = [
    NamedTensor(name: "conv1.weight", shape: [2, 3, 1, 2], values: (0..<12).map { Float($0) / 7 - 0.5 }),
    NamedTensor(name: "bn1.running_var", shape: [3], values: [.leastNonzeroMagnitude, -0.0, .greatestFiniteMagnitude]),
    NamedTensor(name: "scalar", shape: [], values: [0.1]), NamedTensor(name: "empty", shape: [0, 4], values: []),
  ]

  private func expectEqual(_ table: TensorTable, prefix: String = "", besides: [String] = []) {
    #expect(table.names == (Self.tensors.map { prefix + $0.name } + besides).sorted())
    for tensor in Self.tensors {
      let read = table[prefix + tensor.name]
      #expect(read?.shape == tensor.shape && read?.values.map(\.bitPattern) == tensor.values.map(\.bitPattern))
    }
  }

  @Test func safetensors() throws {
    let folder = try TemporaryFolder()
    let path = folder("weights.safetensors")
    for metadata in [[:], ["format": "pt", "with \"quotes\"": "ä"]] {
      try TensorFile.write(Self.tensors.map(LazyTensor.init), toSafetensors: path, metadata: metadata)
      expectEqual(try TensorFile.read(path: path))
      #expect(try Data(contentsOf: URL(filePath: path)).withUnsafeBytes { $0.load(as: UInt64.self) } % 8 == 0)
    }
    try TensorFile.write([], toSafetensors: path, metadata: ["format": "pt"])
    #expect(try TensorFile.read(path: path).names.isEmpty)
  }

  @Test func torch() throws {
    let folder = try TemporaryFolder()
    let path = folder("weights.pth")
    let count = 70_000  // more than two bytes hold
    try TensorFile.write(
      [
        ("bn", []),
        ("decoder", Self.tensors.map { .tensor(LazyTensor($0)) } + [.number(name: "batches", value: count)]),
      ], toTorch: path)
    let table = try TensorFile.read(path: path)
    expectEqual(table, prefix: "decoder.", besides: ["decoder.batches"])
    #expect(table["decoder.batches"] == NamedTensor(name: "decoder.batches", shape: [], values: [Float(count)]))
  }

  /// A tensor that cannot be had leaves the file that was there before.
  @Test func nothingIsHalfWritten() throws {
    struct Lost: Error {}
    let folder = try TemporaryFolder()
    let tensors = [LazyTensor(Self.tensors[0]), LazyTensor(name: "lost", shape: [1]) { throw Lost() }]
    try Data("before".utf8).write(to: URL(filePath: folder("file")))
    #expect(throws: Lost.self) { try TensorFile.write(tensors, toSafetensors: folder("file")) }
    #expect(throws: Lost.self) { try TensorFile.write([("bn", tensors.map { .tensor($0) })], toTorch: folder("file")) }
    #expect(try String(contentsOfFile: folder("file"), encoding: .utf8) == "before")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["file"])
  }
}
