import Diagnostics
import FileSystem
import Foundation
import Metrics
import TensorFiles
import TestSupport
import Testing

@testable import Checkpoints

@Suite struct FormatTests {
  @Test func aStateComesBackAsItWas() throws {
    let state = State()
    #expect(state.record.normalStatistics != nil)
    #expect(try State(decoding: state.encoded()) == state)
  }

  @Test func emptyAndAbsentThingsComeBack() throws {
    let state = State().with {
      $0.record.configuration = ""
      $0.record.producer = ""
      $0.record.step = 0
      $0.record.epoch = 0
      $0.record.dataFingerprint = ""
      $0.record.shardOrder = []
      $0.parameters = []
      $0.firstMoments = []
      $0.secondMoments = []
      $0.record.teacherHash = ""
      $0.teacher = []
      $0.record.lossHistory = []
      $0.record.normalStatistics = nil
    }
    let back = try State(decoding: state.encoded())
    #expect(back == state)
    #expect(back.teacher.isEmpty)
    #expect(back.record.normalStatistics == nil)
  }

  @Test func everyFieldIsInTheFile() throws {
    let state = State()
    let other = State(step: 4)
    var changed = [
      state.with { $0.record.configuration = "seed = 2\n" }, state.with { $0.record.producer = "another 2" },
      state.with { $0.record.step = 5 },
      state.with { $0.record.epoch = 7 }, state.with { $0.record.dataFingerprint = "none" },
      state.with { $0.record.shardOrder = [1] },
      state.with { $0.parameters = other.parameters }, state.with { $0.firstMoments = other.firstMoments },
      state.with { $0.secondMoments = other.secondMoments }, state.with { $0.record.teacherHash = "none" },
      state.with { $0.teacher = [] }, state.with { $0.teacher = [tensor("conv1.weight", [6], seed: 70)] },
      state.with { $0.record.lossHistory = other.record.lossHistory }, state.with { $0.record.normalStatistics = nil },
    ]
    let (one, two) = (try #require(state.record.normalStatistics), try #require(other.record.normalStatistics))
    func change(_ body: (inout NormalStatistics) -> Void) {
      var statistics = one
      body(&statistics)
      changed.append(state.with { $0.record.normalStatistics = statistics })
    }
    change { $0.imageScore = two.imageScore }
    change { $0.scales.reverse() }
    change { $0.imageScores = two.imageScores }
    change { $0.map = two.map }
    change { $0.areHeldOut = false }
    // As in older checkpoints.
    change { ($0.map, $0.areHeldOut) = (nil, false) }
    for (index, changed) in changed.enumerated() {
      let back = try State(decoding: changed.encoded())
      #expect(back == changed, "change \(index)")
      #expect(back != state, "change \(index)")
    }
  }

  @Test func everyBitOfANumberComesBack() throws {
    let values: [Float] = [
      -0.0, .infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude, Float(bitPattern: 0x7FC0_1234),
    ]
    let losses: [Double] = [-0.0, .infinity, .leastNonzeroMagnitude, Double(bitPattern: 0x7FF8_0000_0000_1234)]
    let state = State().with {
      $0.teacher = [NamedTensor(name: "odd", shape: [5], values: values)]
      $0.record.lossHistory = losses
    }
    let back = try State(decoding: state.encoded())
    #expect(back.teacher.first?.values.map(\.bitPattern) == values.map(\.bitPattern))
    #expect(back.record.lossHistory.map(\.bitPattern) == losses.map(\.bitPattern))
  }

  @Test func equalStatesGiveEqualBytes() throws {
    let state = State()
    let bytes = try state.encoded()
    #expect(try state.encoded() == bytes)
    #expect(try State(decoding: bytes).encoded() == bytes)
    let shuffled = state.with {
      $0.parameters = state.parameters.reversed()
      $0.firstMoments = state.firstMoments.shuffled()
      $0.secondMoments = state.secondMoments.shuffled()
      $0.teacher = state.teacher.reversed()
    }
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
    let state = State().with {
      $0.teacher = tensors
      $0.record.lossHistory = (0..<300_000).map { Double($0) }
    }
    let bytes = try state.encoded()
    #expect(try State(decoding: bytes) == state)
    #expect(try state.encoded() == bytes)
  }

  @Test func longTextsAreKept() throws {
    // Attributes could not hold this.
    let state = State().with { $0.record.configuration = String(repeating: "key = 1\n", count: 200_000) }
    #expect(try State(decoding: state.encoded()) == state)
  }

  @Test func contradictionsAreNotWritten() {
    let state = State()
    let twice = [tensor("a", [1], seed: 1), tensor("a", [1], seed: 2)]
    let wrong = [
      state.with { $0.record.step = -1 }, state.with { $0.record.epoch = -1 }, state.with { $0.firstMoments = [] },
      state.with { $0.parameters = [] },
      state.with {
        $0.parameters = state.parameters.map { NamedTensor(name: $0.name, shape: [1] + $0.shape, values: $0.values) }
      },
      state.with { $0.record.configuration = "a\0b" }, state.with { $0.teacher = twice },
      state.with { $0.teacher = [tensor("a/b", [1], seed: 1)] },
      state.with { $0.teacher = [tensor(".", [1], seed: 1)] },
      state.with { $0.teacher = [tensor("", [1], seed: 1)] },
      state.with { $0.teacher = [NamedTensor(name: "a", shape: [2], values: [1])] },
      state.with { $0.teacher = [NamedTensor(name: "a", shape: [-1], values: [])] },
      state.with { $0.teacher = [NamedTensor(name: "a", shape: [.max, 2], values: [])] },
    ]
    for (index, state) in wrong.enumerated() {
      let failure = expectError(Failure.self, "case \(index)") { try state.encoded() }
      #expect(failure?.code == .internalError, "case \(index)")
    }
  }
}

@Suite struct ReadingTests {
  /// A file whose byte at `position` of some tensor's values is another one.
  private func damaged(_ tensor: NamedTensor, in state: State) throws -> [UInt8] {
    var bytes = try state.encoded()
    let pattern = tensor.values.withUnsafeBytes { Array($0) }
    let position = try #require(bytes.indices.first { bytes[$0...].starts(with: pattern) })
    bytes[position] ^= 4
    return bytes
  }

  /// Damage in one part is noticed by whoever reads that part, and by nobody else: the others do not touch it.
  @Test func onlyWhatIsAskedForIsRead() throws {
    let state = State()
    let places: [(CheckpointPart, NamedTensor)] = [
      (.parameters, state.parameters[1]), (.firstMoments, state.firstMoments[1]),
      (.secondMoments, state.secondMoments[1]), (.teacher, state.teacher[0]),
    ]
    for (part, tensor) in places {
      let file = try CheckpointFile(memoryFile(damaged(tensor, in: state)))
      #expect(file.record == state.record)
      for other in CheckpointPart.allCases where other != part { try file.verify([other]) }
      #expect(throws: Failure.self) { try file.verify([part]) }
      #expect(throws: Failure.self) { try file.verify() }
      let failure = expectError(Failure.self) { try file[part].take(tensor.name, shape: tensor.shape) }
      #expect(failure?.code == .badData && failure?.message.contains(tensor.name) == true)
    }
  }

  @Test func tensorsAreFoundByName() throws {
    let state = State()
    let file = try CheckpointFile(memoryFile(state.encoded(), called: "a.h5"))
    for tensor in state.parameters {
      #expect(try file[.parameters].take(tensor.name, shape: tensor.shape) == tensor.values)
    }
    let absent = expectError(Failure.self) { try file[.parameters].take("v", shape: [1]) }
    #expect(absent?.message == "a.h5: tensor \"v\" of shape [1] is missing")
    let wrong = expectError(Failure.self) { try file[.firstMoments].take("scale", shape: [1]) }
    #expect(wrong?.message == "a.h5: tensor \"scale\" has shape [] where [1] is expected")
  }

  /// As where a training removes what an evaluation is reading.
  @Test func aRemovedFileStaysReadable() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try writeFile(path, bytes: State().encoded())
      let file = try CheckpointFile(path: path)
      try removeFile(path)
      #expect(try State(file) == State())
    }
  }

  @Test func anErrorOfTheSystemIsNoDamage() throws {
    let file = try memoryFile(State().encoded())
    let unreadable = open("/dev/null", O_WRONLY)
    defer { close(unreadable) }
    let (descriptor, saved) = (file.descriptor, dup(file.descriptor))
    defer { close(saved) }
    let failure = expectError(Failure.self) {
      try HDF5File.read(file) { root in
        dup2(unreadable, descriptor)
        defer { dup2(saved, descriptor) }
        return try root.read(.parameters) { try $0.numbers("bn.conv1.weight", as: Float.self).values }
      }
    }
    #expect(failure?.code == .inputOutput)
    #expect(failure?.message == "test: cannot be read: Bad file descriptor")
    // It is past when the file can be read again.
    #expect(try State(CheckpointFile(file)) == State())
  }
}

@Suite struct WritingTests {
  /// Once each, in the order that is promised, and when all before are in the file: so one is in memory at a time.
  @Test func tensorsAreAskedForOneByOne() throws {
    try withTemporaryFolder { folder in
      let (path, count) = ("\(folder)/a.h5", 1 << 18)
      var asked: [String] = []
      func tensors(_ names: [String]) -> [LazyTensor] {
        names.map { name in
          LazyTensor(name: name, shape: [count]) {
            #expect(fileSize(path) ?? 0 >= asked.count * count * MemoryLayout<Float>.size)
            asked.append(name)
            return [Float](repeating: 1, count: count)
          }
        }
      }
      let checkpoint = Checkpoint(
        State().record,
        tensors: [
          .teacher: tensors(["t"]), .secondMoments: tensors(["b", "a"]), .firstMoments: tensors(["a", "b"]),
          .parameters: tensors(["c", "b", "a"]),
        ])
      try createFile(path) { try checkpoint.write(to: $0) }
      #expect(asked == ["a", "b", "c", "a", "b", "a", "b", "t"])
      #expect(asked == CheckpointPart.allCases.flatMap { checkpoint[$0].map(\.name) })
    }
  }

  @Test func whatATensorThrowsComesThrough() throws {
    let checkpoint = Checkpoint(
      State().record,
      tensors: [.parameters: [LazyTensor(name: "a", shape: [1]) { throw Failure(.communication, "a rank is gone") }]])
    let failure = expectError(Failure.self) { _ = try bytes { try checkpoint.write(to: $0) } }
    #expect(failure?.code == .communication)
  }

  /// A disk that is full after any number of bytes.
  @Test func aFullDiskIsSaid() throws {
    let state = State().with { $0.parameters.append(tensor("wide", [600, 1000], seed: 1)) }
    let whole = try state.encoded().count
    for size in Array(stride(from: 0, to: 60_000, by: Thoroughness.count(997, sample: 2999))) + [whole / 2, whole - 1] {
      let file = try fullFile(size: size)
      let failure = expectError(Failure.self, "\(size) bytes") { try state.checkpoint.write(to: file) }
      #expect(failure?.code == .inputOutput, "\(size) bytes")
      #expect(failure?.message == "test: cannot be written: Operation not permitted", "\(size) bytes")
    }
    // HDF5 is as good as before.
    #expect(try State(decoding: state.encoded()) == state)
  }
}

@Suite struct DamageTests {
  /// Every seventh byte, another bit from byte to byte; or every bit of every byte.
  @Test func noFlippedBitChangesAnythingSilently() throws {
    let state = State()
    var bytes = try state.encoded()
    var (flips, detected) = (0, 0)
    for position in stride(from: 0, to: bytes.count, by: Thoroughness.count(1, sample: 7)) {
      for number in Thoroughness.isFull ? 0..<8 : position / 7 % 8..<position / 7 % 8 + 1 {
        let bit = UInt8(1) << UInt8(number)
        flips += 1
        bytes[position] ^= bit
        do {
          let back = try State(decoding: bytes)
          if back != state { Issue.record("bit \(bit) of byte \(position) changed the state") }
        } catch let failure as Failure {
          detected += 1
          if failure.code != .badData { Issue.record("byte \(position): \(failure)") }
        }
        bytes[position] ^= bit
      }
    }
    #expect(detected > flips / 4, "only \(detected) of \(flips) flips were noticed")
    Thoroughness.report(
      "\(flips) flipped bits in \(bytes.count) bytes: \(detected) noticed, the others in bytes that mean nothing, 0 silent"
    )
  }

  @Test func everyTruncationIsNoticed() throws {
    let bytes = try State().encoded()
    let sample = Array(0..<200) + Array(stride(from: 200, to: bytes.count, by: 97)) + [bytes.count - 1]
    let lengths = Thoroughness.isFull ? Array(bytes.indices) : sample
    for length in lengths {
      let failure = expectError(Failure.self, "length \(length)") {
        try State(decoding: Array(bytes.prefix(length)))
      }
      #expect(failure?.code == .badData, "length \(length)")
    }
    Thoroughness.report("\(lengths.count) truncations: all noticed")
  }

  /// Two blocks in each other's place, as a file system may leave them: the newest is passed over with a warning, or nothing has changed.
  @Test func swappedBlocksNeverCountSilently() throws {
    let (old, new) = (State(step: 2), State(step: 3))
    let (before, bytes) = (try old.encoded(), try new.encoded())
    var random = SeededGenerator(seed: 1)
    let swaps = Thoroughness.count(20_000, sample: 300)
    var passedOver = 0
    for number in 0..<swaps {
      let size = [16, 64, 512, 4096][number % 4]
      let blocks = bytes.count / size
      let (one, other) = (Int.random(in: 0..<blocks, using: &random), Int.random(in: 0..<blocks, using: &random))
      var damaged = bytes
      for place in 0..<size { damaged.swapAt(one * size + place, other * size + place) }
      let warnings = Warnings()
      let store = CheckpointStore(
        storage: MemoryStorage(files: ["step-00000002.h5": before, "step-00000003.h5": damaged]), warn: warnings.add)
      let found = try State(try #require(try store.newestValid()).checkpoint)
      #expect(found == (warnings.all.isEmpty ? new : old), "blocks \(one) and \(other) of \(size)")
      passedOver += warnings.all.count
    }
    #expect(passedOver > swaps / 4)
    Thoroughness.report("\(swaps) pairs of swapped blocks: \(passedOver) files passed over with a warning, 0 silent")
  }

  @Test func zeroedBlocksAreNoticed() throws {
    let state = State()
    let bytes = try state.encoded()
    for start in stride(from: 0, to: bytes.count, by: 512) {
      var damaged = bytes
      for position in start..<min(start + 512, bytes.count) { damaged[position] = 0 }
      if damaged == bytes { continue }
      if let back = try? State(decoding: damaged) {
        #expect(back == state, "block at \(start)")
      }
    }
  }

  private func message(_ bytes: [UInt8]) -> String {
    do {
      _ = try State(decoding: bytes, source: "a.h5")
      return "none"
    } catch {
      return "\(error)"
    }
  }

  @Test func theMessageSaysWhatIsWrong() throws {
    let state = State()
    var bytes = try state.encoded()
    #expect(message([]).hasPrefix("a.h5: the file is empty"))
    #expect(message(Array("not one".utf8)).hasPrefix("a.h5: not an HDF5 file"))
    #expect(message(Array(bytes.prefix(bytes.count / 2))).contains("truncated file"))
    #expect(message(try hdf5Bytes { _ in }).contains("not a checkpoint of this program"))

    // A byte of a parameter's values.
    let value = try #require(state.parameters.first { $0.name == "bn.conv1.weight" }).values[5]
    let pattern = withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    let position = try #require(bytes.indices.first { bytes[$0...].starts(with: pattern) })
    bytes[position] ^= 4
    let text = message(bytes)
    // HDF5 1.10 says which filter it was.
    #expect(text.hasPrefix("a.h5: /model/bn.conv1.weight cannot be read: "), "\(text)")
    #expect(text.contains("checksum") || text.contains("filter returned failure"), "\(text)")
  }

  @Test func otherContentIsNamed() throws {
    func file(version: Int = 1, _ fill: (HDF5Group) throws -> Void) throws -> String {
      message(
        try hdf5Bytes { root in
          try root.write(attribute: "format", "reverse-distillation checkpoint")
          try root.write(attribute: "format_version", version)
          try root.write(attribute: "producer", "test")
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
      try hdf5Bytes { root in
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
        try root.makeGroup("model") { try $0.write([LazyTensor(parameter)]) }
        try root.makeGroup("optimizer") {
          try $0.makeGroup("first_moment") { try $0.write([LazyTensor(first)]) }
          try $0.makeGroup("second_moment") { try $0.write([LazyTensor(first)]) }
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
