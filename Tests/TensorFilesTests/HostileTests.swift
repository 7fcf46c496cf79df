import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import TensorFiles

/// One at a time, since one of them watches the memory.
@Suite(.serialized) struct HostileTests {
  @Test(arguments: [
    ("hostile.pth", "posix.system"), ("hostile-legacy.pth", "posix.system"),
    ("module.pth", "torch.nn.modules.linear.Linear"), ("lone-tensor.pth", "holds a tensor"),
    ("lone-tensor-legacy.pth", "holds a tensor"), ("list-entry.pth", "entry \"history\" of the state dict is a list"),
    ("list-entry-legacy.pth", "entry \"history\""), ("explosion.pth", "\"weight\" of shape [100000, 100000]"),
    ("explosion-legacy.pth", "\"weight\" of shape [100000, 100000]"), ("complex.pth", "torch.ComplexFloatStorage"),
    ("complex-legacy.pth", "torch.ComplexFloatStorage"), ("float8.safetensors", "\"F8_E4M3\""),
    ("plain.pkl", "a pickle that torch.save did not write"), ("compressed.pth", "is compressed (method 8)"),
    ("big-endian.pth", "big-endian"), ("no-pickle.zip", "0 entries named data.pkl"),
    ("overlapping.pth", "overlaps other entries"),
  ])
  func isRefusedByName(file: String, reason: String) {
    let refused = failure { try TensorFile.read(path: Fixtures.path(file)) }
    #expect(refused?.code == .badData)
    #expect(refused?.message.contains(reason) == true, "\(refused?.description ?? "was read")")
    #expect(refused?.message.hasPrefix(Fixtures.path(file)) == true)
  }

  @Test func whatIsNoFileOfWeightsIsNamed() throws {
    func reading(_ content: String) throws -> Failure? {
      try withFile(Array(content.utf8)) { path in failure { try TensorFile.read(path: path) } }
    }
    #expect(try reading("")?.message.contains("empty") == true)
    #expect(try reading("<!doctype html>")?.hint?.contains("an HTML page: the download failed") == true)
    #expect(try reading("version https://git-lfs.github.com/spec/v1\n")?.hint?.contains("git lfs pull") == true)
    #expect(try reading("some notes")?.message.contains("not a file of weights") == true)
    let absent = failure { try TensorFile.read(path: Fixtures.path("absent.pth")) }
    #expect(absent?.code == .badData && absent?.message.contains("No such file") == true)
    #expect(failure { try TensorFile.read(path: Fixtures.folder.path) }?.message.contains("not a file") == true)
  }

  @Test func aFlippedBitInAnArchiveIsNoticed() throws {
    var bytes = try Fixtures.bytes("small.pth")
    let weight = Fixtures.values("weight", count: 6).withUnsafeBytes { Array($0) }
    let place = try #require(bytes.indices.first { bytes[$0...].starts(with: weight) })
    bytes[place + 5] ^= 0x10
    #expect(failure { try read(bytes) }?.message.contains("does not match its CRC-32") == true)
  }

  @Test func safetensorsMustTileTheFile() throws {
    func reading(_ header: String, data: Int) -> Failure? {
      let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
      return failure { try read(length + Array(header.utf8) + [UInt8](repeating: 0, count: data)) }
    }
    func entry(_ name: String, _ shape: String, _ offsets: String) -> String {
      #""\#(name)": {"dtype": "F32", "shape": \#(shape), "data_offsets": \#(offsets)}"#
    }
    let first = entry("a", "[2]", "[0, 8]")
    #expect(reading("{\(first), \(entry("b", "[1]", "[8, 12]"))}", data: 12) == nil)
    #expect(reading("{\(first), \(entry("e", "[0]", "[8, 8]")), \(entry("b", "[1]", "[8, 12]"))}", data: 12) == nil)
    let malformed = [
      (first, 12), (first, 4), ("\(first), \(entry("b", "[1]", "[12, 16]"))", 16),
      ("\(first), \(entry("b", "[1]", "[4, 8]"))", 8), ("\(first), \(entry("b", "[2]", "[8, 12]"))", 12),
      (entry("a", "[4611686018427387904, 4]", "[0, 0]"), 0), (entry("a", "[9223372036854775807]", "[0, 8]"), 8),
      (entry("a", "[-2]", "[0, 8]"), 8), (entry("a", "[2]", "[8, 0]"), 8), (entry("a", "[2]", "[0]"), 8),
      (entry("a", "[2]", "[0, 1e30]"), 8), (entry("a", "[2.5]", "[0, 8]"), 8), (#""a": {"dtype": "F32"}"#, 8),
      (entry("a", "[\(Array(repeating: "1", count: 65).joined(separator: ","))]", "[0, 4]"), 4),
      ("\(first), \(first.replacing("[0, 8]", with: "[8, 16]"))", 16),
    ]
    for (entries, data) in malformed {
      #expect(reading("{\(entries)}", data: data)?.code == .badData, "\(entries)")
    }
    // Names that are no strings: Foundation's decoder ends the process at some.
    for name in ["\u{1}", "\n", #"\q"#, #"\ud800"#, #"\u12"#] {
      let refused = reading("{\(entry("a\(name)", "[2]", "[0, 8]"))}", data: 8)
      #expect(refused?.message.contains("header is malformed") == true, "\(name): \(refused?.message ?? "was read")")
    }
  }

  /// What a file of the older format starts with, up to its object's first opcode.
  private let preamble: [UInt8] =
    [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]  // the magic number
    + [0x80, 2, 0x4D, 0xE9, 3, 0x2E]  // 1001
    + [0x80, 2, 0x7D, 0x2E]  // {}
    + [0x80, 2]

  /// A dict of one tensor of 4 floats, seen with the shape, strides and offset given, and its storage; in the older format.
  private func legacyFile(shape: [Int], strides: [Int], offset: Int) -> [UInt8] {
    func number(_ value: Int) -> [UInt8] { [0x8A, 8] + withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    func text(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) }
    func tuple(_ items: [[UInt8]]) -> [UInt8] { [0x28] + items.joined() + [0x74] }
    func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }
    let storage =
      tuple([text("storage"), global("torch", "FloatStorage"), text("k"), text("cpu"), number(4)]) + [0x51]
    let tensor =
      global("torch._utils", "_rebuild_tensor")
      + tuple([storage, number(offset), tuple(shape.map(number)), tuple(strides.map(number))]) + [0x52]
    let data = [Float(1), 2, 3, 4].withUnsafeBytes { Array($0) }
    let parts: [[UInt8]] = [
      preamble, [0x7D], text("w"), tensor, [0x73, 0x2E], [0x80, 2, 0x5D], text("k"), [0x61, 0x2E],
      [4, 0, 0, 0, 0, 0, 0, 0], data,
    ]
    return Array(parts.joined())
  }

  @Test func viewsMustLieInTheirStorage() throws {
    func values(_ shape: [Int], _ strides: [Int], _ offset: Int) -> [Float]? {
      try? read(legacyFile(shape: shape, strides: strides, offset: offset)).tensors.first?.values
    }
    #expect(values([4], [1], 0) == [1, 2, 3, 4])
    #expect(values([2, 2], [1, 2], 0) == [1, 3, 2, 4])
    #expect(values([2], [3], 0) == [1, 4])
    #expect(values([1, 1], [.max, .max], 3) == [4])
    #expect(values([3, 0], [9, 9], 4) == [])
    #expect(values([], [], 3) == [4])
    #expect(values([5], [1], 0) == nil)
    #expect(values([4], [1], 1) == nil)
    #expect(values([2], [4], 0) == nil)
    #expect(values([2, 2], [2, 2], 0) == nil)
    #expect(values([], [], 4) == nil)
    #expect(values([2, 2], [.max, .max], 0) == nil)
    #expect(values([2, 2], [1, .max], 0) == nil)
    #expect(values([.max], [2], 0) == nil)
    #expect(values([2], [1], .max) == nil)
    #expect(values([2], [.min], 0) == nil)
    #expect(values([2], [-1], 1) == nil)
    #expect(values([4], [1], -1) == nil)
    #expect(values([-1], [1], 0) == nil)
    #expect(values([0], [1], 5) == nil)
    #expect(values([4], [1, 1], 0) == nil)
    #expect(values([.max, .max, .max], [0, 0, 0], 0) == nil)
    #expect(values([.max, .max], [0, 0], 0) == nil)
  }

  @Test(arguments: [
    ("", "("), ("", "N"), ("", "}"), (")", "2"), (")", "\u{85}"), ("]", "2a"), ("]", "]2q\u{1}a"), ("}", "2NNs"),
    ("]q\u{1}", "2a(h\u{1}e"), ("ccollections\nOrderedDict\nq\u{1}0(]t", "h\u{1}\u{85}"),
  ])
  func endlessPicklesEnd(start: String, unit: String) {
    // Marks, containers and nests without end, where the object of a file of the older format is expected.
    func opcodes(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }
    let body = Array(repeating: opcodes(unit), count: 3 << 20).joined()
    let refused = failure { try read(preamble + opcodes(start) + body) }
    #expect(
      refused?.message.contains("too long to describe a network") == true, "\(refused?.description ?? "was read")")
  }

  @Test func copiesAreCounted() {
    // Thousands of dicts made from one list of thousands of pairs.
    let list = Array("](".utf8) + Array(repeating: Array("NN".utf8) + [0x86], count: 10_000).joined() + Array("e".utf8)
    let calls = Array("ccollections\nOrderedDict\nh".utf8) + [1, 0x85] + Array("R".utf8)
    let refused = failure {
      try read(preamble + list + Array("q".utf8) + [1] + Array(repeating: calls, count: 10_000).joined())
    }
    #expect(
      refused?.message.contains("too long to describe a network") == true, "\(refused?.description ?? "was read")")
  }

  @Test func everyTruncationIsNoticed() throws {
    for name in try Fixtures.all where !name.hasPrefix("many") {
      let bytes = try Fixtures.bytes(name)
      for count in 0..<bytes.count {
        let refused = failure { try read(Array(bytes[..<count])) }
        #expect(refused?.code == .badData, "\(name) cut to \(count) bytes")
      }
    }
  }

  @Test func mutationsNeverCrash() throws {
    var random = SeededGenerator(seed: 20220619)
    let before = try peakMemory()
    var outcomes = (read: 0, refused: 0)
    for name in try Fixtures.all where !name.hasPrefix("many") {
      let original = try Fixtures.bytes(name)
      for _ in 0..<300 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes, &random) }
        if let refused = failure({ try read(bytes) }) {
          #expect(refused.code == .badData)
          outcomes.refused += 1
        } else {
          outcomes.read += 1
        }
      }
    }
    #expect(outcomes.read > 100 && outcomes.refused > 1000, "\(outcomes)")
    #expect(try peakMemory() - before < 100 << 10)
  }

  /// KiB of this process's memory at their highest.
  private func peakMemory() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
    return try #require(Int(line.split { !$0.isNumber }.joined()))
  }
}
