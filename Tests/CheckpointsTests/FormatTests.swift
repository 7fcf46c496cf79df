import Diagnostics
import TensorFiles
import TestSupport
import Testing

@testable import Checkpoints

@Suite struct FormatTests {
  @Test func aStateComesBackAsItWas() throws {
    let state = smallCheckpoint()
    #expect(state.normalStatistics != nil)
    #expect(try Checkpoint(decoding: state.encoded(), source: "test") == state)
  }

  @Test func emptyAndAbsentThingsComeBack() throws {
    let state = smallCheckpoint().with(
      configuration: "", producer: "", step: 0, epoch: 0, dataFingerprint: "", shardOrder: [], parameters: [],
      firstMoments: [], secondMoments: [], teacherHash: "", teacher: .some(nil), lossHistory: [],
      normalStatistics: .some(nil))
    let back = try Checkpoint(decoding: state.encoded(), source: "test")
    #expect(back == state)
    #expect(back.teacher == nil)
    #expect(back.normalStatistics == nil)
  }

  @Test func everyFieldIsInTheFile() throws {
    let state = smallCheckpoint()
    let other = smallCheckpoint(step: 4)
    var changed = [
      state.with(configuration: "seed = 2\n"), state.with(producer: "another 2"), state.with(step: 5),
      state.with(epoch: 7), state.with(dataFingerprint: "none"), state.with(shardOrder: [1]),
      state.with(parameters: other.parameters), state.with(firstMoments: other.firstMoments),
      state.with(secondMoments: other.secondMoments), state.with(teacherHash: "none"),
      state.with(teacher: .some(nil)), state.with(teacher: [tensor("conv1.weight", [6], seed: 70)]),
      state.with(lossHistory: other.lossHistory), state.with(normalStatistics: .some(nil)),
    ]
    let (one, two) = (try #require(state.normalStatistics), try #require(other.normalStatistics))
    changed.append(
      state.with(
        normalStatistics: NormalStatistics(
          imageScore: two.imageScore, scales: one.scales, imageScores: one.imageScores)))
    changed.append(
      state.with(
        normalStatistics: NormalStatistics(
          imageScore: one.imageScore, scales: one.scales.reversed(), imageScores: one.imageScores)))
    changed.append(
      state.with(
        normalStatistics: NormalStatistics(
          imageScore: one.imageScore, scales: one.scales, imageScores: two.imageScores)))
    for (index, changed) in changed.enumerated() {
      let back = try Checkpoint(decoding: changed.encoded(), source: "test")
      #expect(back == changed, "change \(index)")
      #expect(back != state, "change \(index)")
    }
  }

  @Test func everyBitOfANumberComesBack() throws {
    let values: [Float] = [
      -0.0, .infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude, Float(bitPattern: 0x7FC0_1234),
    ]
    let losses: [Double] = [-0.0, .infinity, .leastNonzeroMagnitude, Double(bitPattern: 0x7FF8_0000_0000_1234)]
    let state = smallCheckpoint().with(
      teacher: [NamedTensor(name: "odd", shape: [5], values: values)], lossHistory: losses)
    let back = try Checkpoint(decoding: state.encoded(), source: "test")
    #expect(back.teacher?.first?.values.map(\.bitPattern) == values.map(\.bitPattern))
    #expect(back.lossHistory.map(\.bitPattern) == losses.map(\.bitPattern))
  }

  @Test func equalStatesGiveEqualBytes() throws {
    let state = smallCheckpoint()
    let bytes = try state.encoded()
    #expect(try state.encoded() == bytes)
    #expect(try Checkpoint(decoding: bytes, source: "test").encoded() == bytes)
    let shuffled = state.with(
      parameters: state.parameters.reversed(), firstMoments: state.firstMoments.shuffled(),
      secondMoments: state.secondMoments.shuffled(), teacher: state.teacher?.reversed())
    #expect(shuffled == state)
    #expect(try shuffled.encoded() == bytes)
  }

  @Test func largeTensorsAreCutIntoChunks() throws {
    #expect(chunkShape([512, 512], elementSize: 4) == [512, 512])
    #expect(chunkShape([513, 512], elementSize: 4) == [257, 512])
    #expect(chunkShape([512, 512, 3, 3], elementSize: 4) == [52, 512, 3, 3])
    #expect(chunkShape([2, 600_000], elementSize: 4) == [1, 200_000])
    #expect(chunkShape([3, 2, 300_000], elementSize: 4) == [1, 1, 150_000])
    let tensors = [
      tensor("a", [513, 512], seed: 1), tensor("b", [2, 600_001], seed: 2), tensor("c", [40, 90, 90], seed: 3),
    ]
    let state = smallCheckpoint().with(teacher: tensors, lossHistory: (0..<300_000).map { Double($0) })
    let bytes = try state.encoded()
    #expect(try Checkpoint(decoding: bytes, source: "test") == state)
    #expect(try state.encoded() == bytes)
  }

  @Test func longTextsAreKept() throws {
    // Attributes could not hold this.
    let state = smallCheckpoint().with(configuration: String(repeating: "key = 1\n", count: 200_000))
    #expect(try Checkpoint(decoding: state.encoded(), source: "test") == state)
  }

  @Test func contradictionsAreNotWritten() {
    let state = smallCheckpoint()
    let twice = [tensor("a", [1], seed: 1), tensor("a", [1], seed: 2)]
    let wrong = [
      state.with(step: -1), state.with(epoch: -1), state.with(firstMoments: []), state.with(parameters: []),
      state.with(
        parameters: state.parameters.map { NamedTensor(name: $0.name, shape: [1] + $0.shape, values: $0.values) }),
      state.with(configuration: "a\0b"), state.with(teacher: twice),
      state.with(teacher: [tensor("a/b", [1], seed: 1)]), state.with(teacher: [tensor(".", [1], seed: 1)]),
      state.with(teacher: [tensor("", [1], seed: 1)]),
      state.with(teacher: [NamedTensor(name: "a", shape: [2], values: [1])]),
      state.with(teacher: [NamedTensor(name: "a", shape: [-1], values: [])]),
      state.with(teacher: [NamedTensor(name: "a", shape: [.max, 2], values: [])]),
    ]
    for (index, state) in wrong.enumerated() {
      let failure = #expect(throws: Failure.self, "case \(index)") { try state.encoded() }
      #expect(failure?.code == .internalError, "case \(index)")
    }
  }
}

@Suite struct DamageTests {
  /// Every third byte, another bit from byte to byte.
  @Test func noFlippedBitChangesAnythingSilently() throws {
    let state = smallCheckpoint()
    var bytes = try state.encoded()
    var detected = 0
    for position in stride(from: 0, to: bytes.count, by: 3) {
      let bit = UInt8(1) << UInt8((position / 3) % 8)
      bytes[position] ^= bit
      do {
        let back = try Checkpoint(decoding: bytes, source: "test")
        if back != state { Issue.record("bit \(bit) of byte \(position) changed the state") }
      } catch let failure as Failure {
        detected += 1
        if failure.code != .badData { Issue.record("byte \(position): \(failure)") }
      }
      bytes[position] ^= bit
    }
    #expect(detected > bytes.count / 12, "only \(detected) of \(bytes.count / 3) flips were noticed")
  }

  @Test func everyTruncationIsNoticed() throws {
    let bytes = try smallCheckpoint().encoded()
    let lengths = Array(0..<200) + Array(stride(from: 200, to: bytes.count, by: 97)) + [bytes.count - 1]
    for length in lengths {
      let failure = #expect(throws: Failure.self, "length \(length)") {
        try Checkpoint(decoding: Array(bytes.prefix(length)), source: "test")
      }
      #expect(failure?.code == .badData, "length \(length)")
    }
  }

  @Test func zeroedBlocksAreNoticed() throws {
    let state = smallCheckpoint()
    let bytes = try state.encoded()
    for start in stride(from: 0, to: bytes.count, by: 512) {
      var damaged = bytes
      for position in start..<min(start + 512, bytes.count) { damaged[position] = 0 }
      if damaged == bytes { continue }
      if let back = try? Checkpoint(decoding: damaged, source: "test") {
        #expect(back == state, "block at \(start)")
      }
    }
  }

  private func message(_ bytes: [UInt8]) -> String {
    do {
      _ = try Checkpoint(decoding: bytes, source: "a.h5")
      return "none"
    } catch {
      return "\(error)"
    }
  }

  @Test func theMessageSaysWhatIsWrong() throws {
    let state = smallCheckpoint()
    var bytes = try state.encoded()
    #expect(message([]).hasPrefix("a.h5: the file is empty"))
    #expect(message(Array("not one".utf8)).hasPrefix("a.h5: not an HDF5 file"))
    #expect(message(Array(bytes.prefix(bytes.count / 2))).contains("truncated file"))
    #expect(message(try HDF5File.bytes("other") { _ in }).contains("not a checkpoint of this program"))

    // A byte of a parameter's values.
    let value = try #require(state.parameters.first { $0.name == "bn.conv1.weight" }).values[5]
    let pattern = withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    let position = try #require(bytes.indices.first { bytes[$0...].starts(with: pattern) })
    bytes[position] ^= 4
    let text = message(bytes)
    #expect(text.contains("/model/bn.conv1.weight") && text.contains("checksum"), "\(text)")
  }

  @Test func otherContentIsNamed() throws {
    func file(version: Int = 1, _ fill: (HDF5Group) throws -> Void) throws -> String {
      message(
        try HDF5File.bytes("test") { root in
          try root.write(attribute: "format", "reverse-distillation checkpoint")
          try root.write(attribute: "format_version", version)
          try fill(root)
        })
    }
    #expect(try file(version: 2) { _ in }.contains("format version 2"))
    #expect(try file { _ in } == "a.h5: /configuration is missing")
    #expect(
      try file { try $0.write("configuration", [Float(1)], shape: [1]) }
        == "a.h5: /configuration is not text of fixed length")
    #expect(
      try file {
        try $0.write("configuration", ["a"])
        try $0.makeGroup("progress") { _ in }
      } == "a.h5: /progress has no attribute step")
    #expect(
      try file {
        try $0.write("configuration", ["a"])
        try $0.makeGroup("progress") {
          try $0.write(attribute: "step", 1)
          try $0.write(attribute: "epoch", 1)
          try $0.write(attribute: "data_fingerprint", "")
          try $0.write("shard_order", [Int32(1), 2], shape: [2, 1])
        }
      } == "a.h5: /progress/shard_order has shape [2, 1] where one dimension is expected")
  }

  @Test func momentsThatDoNotFitAreRejected() throws {
    let parameter = tensor("w", [2], seed: 1)
    func bytes(first: NamedTensor) throws -> [UInt8] {
      try HDF5File.bytes("test") { root in
        try root.write(attribute: "format", "reverse-distillation checkpoint")
        try root.write(attribute: "format_version", 1)
        try root.write(attribute: "producer", "test")
        try root.write("configuration", [""])
        try root.makeGroup("progress") {
          try $0.write(attribute: "step", 1)
          try $0.write(attribute: "epoch", 1)
          try $0.write(attribute: "data_fingerprint", "")
          try $0.write("shard_order", [Int32](), shape: [0])
          try $0.write("loss_history", [Double](), shape: [0])
        }
        try root.makeGroup("model") { try $0.write([parameter]) }
        try root.makeGroup("optimizer") {
          try $0.makeGroup("first_moment") { try $0.write([first]) }
          try $0.makeGroup("second_moment") { try $0.write([first]) }
        }
        try root.makeGroup("teacher") { try $0.write(attribute: "sha256", "") }
      }
    }
    #expect(message(try bytes(first: parameter)) == "none")
    #expect(
      message(try bytes(first: tensor("w", [1, 2], seed: 1))).contains("has shape [2] and a moment of shape [1, 2]"))
    #expect(message(try bytes(first: tensor("v", [2], seed: 1))).contains("no such parameter"))
  }
}
