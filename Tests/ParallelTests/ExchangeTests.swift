import Foundation
import TensorFiles
import TestSupport
import Testing

/// The files of the standard run, made once.
private let exportedFiles = Shared {
  let folder = try TemporaryFolder()
  for name in ["a.pth", "a.safetensors", "a.onnx"] {
    let outcome = try ToolProcess.run("rd-eval", ["export", Workplace.standard().path, folder(name)])
    guard outcome.code == 0 else { throw ToolProcess.Trouble(description: outcome.errors) }
  }
  return folder
}

extension ParallelTests {
  /// rd-eval export and import. Other programs' part of it is scripts/check-exchange.
  @Suite(exportedFiles) struct Exchange {
    private func eval(_ arguments: [String], ranks: Int? = nil) throws -> ToolProcess.Outcome {
      try ToolProcess.run("rd-eval", arguments, ranks: ranks)
    }

    private func differences(_ first: TensorTable, _ second: TensorTable) -> [String] {
      func bits(_ tensor: NamedTensor) -> [UInt32] { tensor.values.map(\.bitPattern) }
      guard first.names == second.names else { return ["names"] }
      return zip(first.tensors, second.tensors).filter { $0.shape != $1.shape || bits($0) != bits($1) }.map(\.0.name)
    }

    @Test func whatIsExportedIsImportedToTheBit() throws {
      let folder = try exportedFiles.get()
      let authors = try TensorFile.read(path: folder("a.pth"))
      #expect(authors["bn.conv4.weight"]?.shape == [512, 1024, 1, 1])
      #expect(authors["decoder.layer3.1.bn2.num_batches_tracked"]?.values == [5])
      for name in ["a.pth", "a.safetensors"] {
        let run = folder("\(name)-run")
        let imported = try eval(["import", folder(name), run, "--teacher", "random:1", "--image-size", "32"])
        #expect(
          imported.code == 0 && imported.count(of: "resnet18, bottleneck mff+oce, fusion concatenation") == 1,
          "\(imported.errors)")
        #expect(try eval(["export", run, folder("\(name)-again.safetensors")]).code == 0)
        let again = try TensorFile.read(path: folder("\(name)-again.safetensors"))
        #expect(differences(again, try TensorFile.read(path: folder("a.safetensors"))) == [])
      }
      // It scores as the run does that it comes from.
      #expect(try scores(of: folder("a.pth-run"), in: folder) == scores(of: Workplace.standard().path, in: folder))
    }

    /// Paths and scores of the test images.
    private func scores(of run: String, in folder: TemporaryFolder) throws -> [[Substring]] {
      let outcome = try eval(
        [
          "evaluate", run, "--data", try Workplace.data(), "--category", "surface", "--output", folder("out"),
          "--threshold", "1",
        ])
      try #require(outcome.code == 0, "\(outcome.errors)")
      let lines = try String(contentsOfFile: folder("out/scores.csv"), encoding: .utf8).split(separator: "\n")
      #expect(lines.count == 7)
      return lines.map { Array($0.split(separator: ",").prefix(4)) }
    }

    @Test func anomalibsNamesAreKnown() throws {
      let folder = try exportedFiles.get()
      let tensors = try TensorFile.read(path: folder("a.safetensors")).tensors.map { tensor in
        let name =
          tensor.name.hasPrefix("bn.") ? "model.bottleneck.\(tensor.name.dropFirst(3))" : "model.\(tensor.name)"
        return LazyTensor(name: name, shape: tensor.shape) { tensor.values }
      }
      let teacher = LazyTensor(name: "model.feature_extractor.conv1.weight", shape: [1]) { [0] }
      try TensorFile.write(tensors + [teacher], toSafetensors: folder("anomalib.safetensors"))
      let outcome = try eval(
        ["import", folder("anomalib.safetensors"), folder("anomalib"), "--teacher", "random:1", "--image-size", "32"])
      #expect(outcome.code == 0, "\(outcome.errors)")
    }

    @Test func whatDoesNotFitIsRefused() throws {
      let folder = try exportedFiles.get()
      let run = try Workplace.standard().path
      try TensorFile.write(
        [LazyTensor(name: "decoder.layer1.weight", shape: [1]) { [0] }], toSafetensors: folder("other.safetensors"))
      let cases: [([String], Int32, String)] = [
        (["export", run, folder("a.tflite")], 64, "the name says no format"),
        (["export", run, folder("a")], 64, "the name says no format"),
        (["export", folder("absent"), folder("b.onnx")], 65, "absent"),
        (["export", run, folder("absent/b.onnx")], 74, "cannot be written"),
        (
          ["export", try Workplace.withoutTeacher().path, folder("b.onnx")], 64, "give the teacher's file as --teacher"
        ),
        (
          ["import", folder("other.safetensors"), folder("x"), "--teacher", "random:1"], 65,
          "are not those of a student known here"
        ),
        (["import", folder("a.onnx"), folder("x"), "--teacher", "random:1"], 65, "not a file of weights"),
        (["import", folder("a.pth"), run, "--teacher", "random:1"], 64, "holds a run already"),
        (
          ["import", folder("a.pth"), folder("x"), "--teacher", "random:1", "--image-size", "48"], 64, "multiple of 32"
        ),
        (["import", folder("a.pth"), folder("x"), "--teacher", folder("a.pth")], 65, "is missing"),
      ]
      for (arguments, code, message) in cases {
        let outcome = try eval(arguments)
        #expect(
          outcome.code == code && outcome.count(of: message) == 1, "\(arguments): \(outcome.code) \(outcome.errors)")
      }
      #expect(try eval(["export", run, folder("b.pth")], ranks: 2).code == 64)
      #expect(
        !FileManager.default.fileExists(atPath: folder("x"))
          && !FileManager.default.fileExists(atPath: folder("b.onnx")))
    }

    /// The graph holds every tensor of the student and the teacher, and names what goes in and out.
    @Test func theGraphHoldsAllWeights() throws {
      let folder = try exportedFiles.get()
      let model = try Protobuf([UInt8](Data(contentsOf: URL(filePath: folder("a.onnx")))))
      let graph = try Protobuf(try #require(model.fields(7).first))
      let constants = try graph.fields(5).map(Protobuf.init)
      let bytes = Dictionary(uniqueKeysWithValues: constants.map { ($0.text(8), $0.fields(9).first ?? []) })
      let student = try TensorFile.read(path: folder("a.safetensors"))
      for tensor in student.tensors {
        #expect(bytes[tensor.name] == tensor.values.withUnsafeBytes { Array($0) }, "\(tensor.name)")
      }
      #expect(bytes["teacher.conv1.weight"]?.count == 37_632)
      #expect(try graph.fields(11).map { try Protobuf($0).text(1) } == ["image"])
      #expect(try graph.fields(12).map { try Protobuf($0).text(1) } == ["map", "score"])
      // What a node takes is a constant, the input, or what a node before it makes.
      var known = Set(bytes.keys).union(["image"])
      for node in try graph.fields(1).map(Protobuf.init) {
        for input in node.fields(1) { #expect(known.contains(String(decoding: input, as: UTF8.self))) }
        #expect(known.insert(node.text(2)).inserted)
      }
      #expect(known.isSuperset(of: ["map", "score"]))
    }
  }
}

/// The fields of a message that are messages, texts or bytes.
private struct Protobuf {
  private var content: [Int: [[UInt8]]] = [:]

  struct Malformed: Error {}

  init(_ bytes: [UInt8]) throws {
    var place = 0
    func varint() throws -> Int {
      var (value, shift) = (0, 0)
      while true {
        guard place < bytes.count, shift < 63 else { throw Malformed() }
        let byte = bytes[place]
        value |= Int(byte & 0x7F) << shift
        (place, shift) = (place + 1, shift + 7)
        if byte < 0x80 { return value }
      }
    }
    while place < bytes.count {
      let tag = try varint()
      switch tag & 7 {
      case 0: _ = try varint()
      case 5: place += 4
      case 2:
        let count = try varint()
        guard place + count <= bytes.count else { throw Malformed() }
        content[tag >> 3, default: []].append(Array(bytes[place..<place + count]))
        place += count
      default: throw Malformed()
      }
    }
  }

  func fields(_ number: Int) -> [[UInt8]] { content[number] ?? [] }
  func text(_ number: Int) -> String { String(decoding: fields(number).first ?? [], as: UTF8.self) }
}
