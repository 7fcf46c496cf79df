import Diagnostics
import Foundation
import Testing

@testable import TensorFiles

@Suite struct ReadingTests {
  @Test(arguments: [
    "dtypes.safetensors", "dtypes.pth", "dtypes-legacy.pth", "dtypes-protocol3.pth", "dtypes-protocol3-legacy.pth",
    "dtypes-protocol4.pth", "dtypes-protocol4-legacy.pth", "dtypes-protocol5.pth", "dtypes-protocol5-legacy.pth",
  ])
  func numberTypes(file: String) throws {
    let table = try TensorFile.read(path: Fixtures.path(file))
    let floating = ["float64", "float32", "float16", "bfloat16"]
    let signed = ["int64", "int32", "int16", "int8"]
    let unsigned = ["uint8", "uint16", "uint32", "uint64"]
    #expect(table.names == (floating + signed + unsigned + ["bool", "scalar", "empty"]).sorted())
    for name in table.names where name != "scalar" && name != "empty" {
      let expected = Fixtures.numerators(name, count: 6).map { numerator in
        switch name {
        case "bool": Float(numerator % 2)
        case _ where unsigned.contains(name): Float(numerator)
        case _ where signed.contains(name): Float(numerator - 125)
        default: Float(numerator - 125) / 8
        }
      }
      #expect(try table.take(name, shape: [2, 3]) == expected, "\(name)")
    }
    #expect(try table.take("scalar", shape: []) == [Float(Fixtures.numerators("scalar", count: 1)[0] - 125)])
    #expect(try table.take("empty", shape: [0, 4]) == [])
  }

  @Test(arguments: ["views.pth", "views-legacy.pth"])
  func viewsOfStorages(file: String) throws {
    let table = try TensorFile.read(path: Fixtures.path(file))
    let base = Fixtures.values("base", count: 60)
    let expected: [String: ([Int], [Float])] = [
      "base": ([60], base),
      "part": ([10], Array(base[10..<20])),
      "column": ([12], (0..<12).map { base[5 * $0 + 2] }),
      "transposed": ([4, 6], Fixtures.values("transposed", count: 24)),
      "channels_last": ([2, 3, 4, 5], Fixtures.values("channels_last", count: 120)),
      "pointwise": ([8, 6, 1, 1], Fixtures.values("pointwise", count: 48)),
      "repeated": ([3, 4], Array(repeating: base[7], count: 12)),
      "rows": ([2, 3], Array(base[..<3] + base[..<3])),
      "parameter": ([3, 2], Fixtures.values("parameter", count: 6)),
      "no_gradient": ([5], Fixtures.values("no_gradient", count: 5)),
    ]
    #expect(table.names == expected.keys.sorted())
    for (name, (shape, values)) in expected {
      #expect(table[name] == NamedTensor(name: name, shape: shape, values: values))
    }
  }

  @Test(arguments: ["state-dict.pth", "state-dict-legacy.pth", "parallel.safetensors"])
  func stateDictOfADataParallelModel(file: String) throws {
    let table = try TensorFile.read(path: Fixtures.path(file))
    #expect(table.names == ["conv.bias", "conv.weight"])
    for name in table.names { #expect(table[name]?.values == Fixtures.values(name, count: 4)) }
  }

  @Test(arguments: ["halves.pth", "halves-legacy.pth"])
  func dictOfStateDicts(file: String) throws {
    let table = try TensorFile.read(path: Fixtures.path(file))
    #expect(table.names == ["bn.conv1.weight", "decoder.conv1.weight"])
    #expect(try table.take("bn.conv1.weight", shape: [2, 2]) == Fixtures.values("bn.conv1.weight", count: 4))
    #expect(try table.take("decoder.conv1.weight", shape: [3]) == Fixtures.values("decoder.conv1.weight", count: 3))
  }

  @Test(arguments: ["many.pth", "many-legacy.pth"])
  func manyTensors(file: String) throws {
    let table = try TensorFile.read(path: Fixtures.path(file))
    #expect(table.names == (0..<300).map { "layer\($0).weight" }.sorted())
    for tensor in table.tensors {
      #expect(tensor == NamedTensor(name: tensor.name, shape: [3], values: Fixtures.values(tensor.name, count: 3)))
    }
  }

  @Test(arguments: ["oldest.pth", "oldest-legacy.pth"])
  func stateDictOfTheFirstVersions(file: String) throws {
    let table = try TensorFile.read(path: Fixtures.path(file))
    #expect(table.names == ["running", "weight"])
    #expect(try table.take("weight", shape: [2, 3]) == Fixtures.values("weight", count: 6))
    #expect(try table.take("running", shape: [3]) == Fixtures.values("running", count: 3))
  }

  @Test(arguments: ["small.pth", "stored.pth", "zip64.pth"])
  func archivesOfOtherWriters(file: String) throws {
    let table = try TensorFile.read(path: Fixtures.path(file))
    #expect(table.names == ["weight"])
    #expect(try table.take("weight", shape: [2, 3]) == Fixtures.values("weight", count: 6))
  }

  @Test func formatsAreToldByContent() throws {
    #expect(try TensorFile.format(of: Fixtures.path("dtypes.safetensors")) == .safetensors)
    #expect(try TensorFile.format(of: Fixtures.path("dtypes.pth")) == .torchZip)
    #expect(try TensorFile.format(of: Fixtures.path("dtypes-legacy.pth")) == .torchLegacy)
    #expect(try TensorFile.format(of: Fixtures.path("dtypes-protocol5-legacy.pth")) == .torchLegacy)
    let hdf5 = "\u{89}HDF\r\n\u{1A}\n".unicodeScalars.map { UInt8($0.value) } + [0, 0]
    #expect(try withFile(hdf5) { try TensorFile.format(of: $0) } == .hdf5)
    let refused = try withFile(hdf5) { path in failure { try TensorFile.read(path: path) } }
    #expect(refused?.code == .badData)
    #expect(refused?.message.contains("HDF5") == true)
  }

  @Test func halfPrecisionIsExact() throws {
    // Every bit pattern of float16 and bfloat16, against a decoding by the definition.
    let patterns = (0...UInt16.max).map { $0 }
    func decode(_ type: ElementType) throws -> [Float] {
      let layout = try #require(TensorLayout(type: type, shape: [1 << 16]))
      return patterns.withUnsafeBytes { layout.values(in: $0) }
    }
    func definition(_ bits: UInt16, fractionBits: Int, bias: Int) -> Float {
      let exponent = Int(bits & 0x7FFF) >> fractionBits
      let fraction = Double(bits & (1 << fractionBits - 1)) / Double(1 << fractionBits)
      let isSpecial = exponent == 0x7FFF >> fractionBits
      let magnitude =
        isSpecial
        ? (fraction == 0 ? Double.infinity : .nan)
        : (exponent == 0 ? fraction : 1 + fraction)
          * Double(sign: .plus, exponent: max(exponent, 1) - bias, significand: 1)
      return Float(bits >> 15 == 0 ? magnitude : -magnitude)
    }
    for (type, fractionBits, bias) in [(ElementType.float16, 10, 15), (.bfloat16, 7, 127)] {
      for (bits, value) in zip(patterns, try decode(type)) {
        let expected = definition(bits, fractionBits: fractionBits, bias: bias)
        #expect(value == expected || (value.isNaN && expected.isNaN), "\(type) \(bits)")
      }
    }
  }

  @Test func checksums() {
    // The check value of the CRC catalogues, and the empty message.
    func checksum(_ text: String) -> UInt32 { Array(text.utf8).withUnsafeBytes { CRC32.checksum(of: $0) } }
    #expect(checksum("123456789") == 0xCBF4_3926)
    #expect(checksum("") == 0)
    #expect(checksum("a") == 0xE8B7_BE43)
  }
}

@Suite struct TensorTableTests {
  private func table() throws -> TensorTable {
    try TensorTable(
      [
        NamedTensor(name: "b", shape: [2, 1], values: [1, 2]), NamedTensor(name: "a", shape: [], values: [3]),
      ], source: "weights.pth")
  }

  @Test func isOrderedByName() throws {
    let table = try table()
    #expect(table.names == ["a", "b"])
    #expect(table.tensors.map(\.name) == ["a", "b"])
    #expect(table["b"]?.shape == [2, 1])
    #expect(table["c"] == nil)
    #expect(try table.take("b", shape: [2, 1]) == [1, 2])
  }

  @Test func namesWhatIsMissingOrMisshapen() throws {
    let table = try table()
    let missing = failure { try table.take("c", shape: [4]) }
    #expect(missing?.code == .badData)
    #expect(missing?.message == "weights.pth: tensor \"c\" of shape [4] is missing")
    #expect(missing?.hint?.contains("2 tensors: \"a\", \"b\"") == true)
    let misshapen = failure { try table.take("b", shape: [1, 2]) }
    #expect(misshapen?.message == "weights.pth: tensor \"b\" has shape [2, 1] where [1, 2] is expected")
  }

  @Test func refusesContradictions() {
    let one = NamedTensor(name: "a", shape: [1], values: [1])
    #expect(failure { try TensorTable([one, one], source: "x") }?.message == "x: two tensors are named \"a\"")
    for shape in [[2], [-1, -1], [Int.max, Int.max], [0]] {
      let wrong = NamedTensor(name: "a", shape: shape, values: [1])
      #expect(failure { try TensorTable([wrong], source: "x") }?.code == .badData)
    }
  }
}

/// Runs `body` with a temporary file of that content.
func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
  let url = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
  try Data(bytes).write(to: url)
  defer { try? FileManager.default.removeItem(at: url) }
  return try body(url.path)
}
