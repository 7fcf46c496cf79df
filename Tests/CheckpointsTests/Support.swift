import Diagnostics
import FileSystem
import Foundation
import Metrics
import Synchronization
import TensorFiles
import TestSupport
import Testing

@testable import Checkpoints

func tensor(_ name: String, _ shape: [Int], seed: UInt64) -> NamedTensor {
  NamedTensor(name: name, shape: shape, values: randomNumbers(shape.reduce(1, *), seed: seed))
}

/// A file in memory.
func memoryFile(_ bytes: [UInt8] = [], called name: String = "test") throws -> OpenFile {
  typealias Create = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
  // Glibc's module does not have it.
  let create = unsafeBitCast(try #require(dlsym(nil, "memfd_create")), to: Create.self)
  let (closedInChildren, sealable) = (1 as UInt32, 2 as UInt32)
  let file = OpenFile(create("test", closedInChildren | sealable), path: name)
  try bytes.withUnsafeBytes { try file.write($0) }
  return file
}

/// A file in memory that cannot get longer than it is.
func fullFile(size: Int) throws -> OpenFile {
  let file = try memoryFile([UInt8](repeating: 0, count: size))
  let (addSeals, growth) = (1033 as Int32, 4 as Int32)
  try #require(fcntl(file.descriptor, addSeals, growth) == 0)
  return file
}

/// All bytes of a file that `fill` writes.
func bytes(_ fill: (borrowing OpenFile) throws -> Void) throws -> [UInt8] {
  let file = try memoryFile()
  try fill(file)
  var bytes: [UInt8] = []
  try file.forEachPiece { piece, _ in bytes += piece }
  return bytes
}

/// The bytes of an HDF5 file.
func hdf5Bytes(_ fill: (HDF5Group) throws -> Void) throws -> [UInt8] {
  try bytes { try HDF5File.write($0, fill: fill) }
}

/// A state with all of its tensors, ordered by their names.
struct State: Sendable, Equatable {
  var record: CheckpointRecord
  var parameters: [NamedTensor]
  var firstMoments: [NamedTensor]
  var secondMoments: [NamedTensor]
  var teacher: [NamedTensor]

  var checkpoint: Checkpoint {
    Checkpoint(
      record,
      tensors: [
        .parameters: parameters.map(LazyTensor.init), .firstMoments: firstMoments.map(LazyTensor.init),
        .secondMoments: secondMoments.map(LazyTensor.init), .teacher: teacher.map(LazyTensor.init),
      ])
  }

  func encoded() throws -> [UInt8] { try bytes { try checkpoint.write(to: $0) } }

  init(_ file: CheckpointFile) throws {
    func all(_ part: CheckpointPart) throws -> [NamedTensor] { try file[part].tensors.map { try $0.loaded() } }
    record = file.record
    parameters = try all(.parameters)
    firstMoments = try all(.firstMoments)
    secondMoments = try all(.secondMoments)
    teacher = try all(.teacher)
  }

  init(decoding bytes: [UInt8], source: String = "test") throws {
    try self.init(CheckpointFile(memoryFile(bytes, called: source)))
  }

  /// Something in every field: scalars, empty and odd shapes, more tensors than a group keeps in its header.
  init(step: Int = 3) {
    let seed = UInt64(step) * 1000
    let trainable = [
      tensor("bn.bn1.weight", [4], seed: seed + 2), tensor("bn.conv1.weight", [4, 3, 3, 3], seed: seed + 1),
      tensor("decoder.layer1.0.conv1.weight", [2, 5, 1, 1], seed: seed + 3), tensor("scale", [], seed: seed + 4),
    ]
    let running = (0..<9).map { tensor("decoder.layer1.\($0).bn1.running_mean", [2], seed: seed + 10 + UInt64($0)) }
    func moments(_ offset: UInt64) -> [NamedTensor] {
      trainable.enumerated().map { tensor($1.name, $1.shape, seed: seed + offset + UInt64($0)) }
    }
    record = CheckpointRecord(
      configuration: "[model]\nbackbone = \"resnet18\"  # größer\n", producer: "rd-train 0.1.0", step: step, epoch: 2,
      dataFingerprint: String(repeating: "ab", count: 32), shardOrder: [2, 0, -1, .max, .min],
      teacherHash: String(repeating: "cd", count: 32), lossHistory: (0..<step).map { 1 / Double($0 + 3) },
      normalStatistics: try? statistics(seed: seed + 80))
    parameters = (trainable + running).sorted { $0.name < $1.name }
    firstMoments = moments(50)
    secondMoments = moments(60)
    teacher = [tensor("conv1.weight", [3, 2], seed: 70), tensor("empty", [0, 7], seed: 71)]
  }

  /// The same state, some of it changed.
  func with(_ change: (inout State) -> Void) -> State {
    var state = self
    change(&state)
    return state
  }
}

private func statistics(seed: UInt64) throws -> NormalStatistics {
  func scores(_ offset: UInt64) -> [Double] { randomNumbers(40, seed: seed + offset).map(Double.init) }
  return NormalStatistics(
    imageScore: try ScoreStatistics(scores(0)), scales: try (1...3).map { try ScoreStatistics(scores($0)) },
    map: try ScoreStatistics(scores(4)), imageScores: scores(0), areHeldOut: true)
}

/// The warnings a store gave.
final class Warnings: Sendable {
  private let list = Mutex<[CheckpointWarning]>([])
  var all: [CheckpointWarning] { list.withLock { $0 } }
  @Sendable func add(_ warning: CheckpointWarning) { list.withLock { $0.append(warning) } }
}

/// A folder of the test's own, removed after it.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appendingPathComponent("checkpoints-\(UUID())").path
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  return try body(folder)
}

/// A folder in memory that knows what a loss of power would leave, and that fails where it is told to.
final class MemoryStorage: CheckpointStorage {
  enum Fault: CaseIterable {
    /// The operation has no effect.
    case before
    /// It has half its effect: a write leaves half the bytes.
    case torn
    /// It has its effect, but the caller is not told.
    case after
  }

  struct Folder {
    var files: [String: [UInt8]] = [:]
    /// The content that is durable of each file of `files`; none where it is not.
    var durableContent: [String: [UInt8]] = [:]
    var durableFiles: [String: [UInt8]] = [:]
    var operations: [String] = []
    var fault: (position: Int, kind: Fault, forGood: Bool)?
  }

  private let folder: Mutex<Folder>
  let location = "memory"

  init(files: [String: [UInt8]] = [:]) {
    folder = Mutex(Folder(files: files, durableContent: files, durableFiles: files))
  }

  var files: [String: [UInt8]] { folder.withLock { $0.files } }
  /// What is left when the machine loses its power now.
  var durableFiles: [String: [UInt8]] { folder.withLock { $0.durableFiles } }
  var operations: [String] { folder.withLock { $0.operations } }

  /// Lets the operation at `position` fail, counted from here, and all after it where it is `forGood`.
  func fail(at position: Int, _ kind: Fault, forGood: Bool) {
    folder.withLock {
      $0.operations = []
      $0.fault = (position, kind, forGood)
    }
  }

  func replace(_ name: String, with bytes: [UInt8]) { folder.withLock { $0.files[name] = bytes } }

  private func operation(
    _ what: String, torn: (inout Folder) -> Void = { _ in }, body: (inout Folder) throws -> Void
  ) throws {
    try folder.withLock { folder in
      let position = folder.operations.count
      folder.operations.append(what)
      let failure = Failure(.inputOutput, "\(what): no space left")
      guard let fault = folder.fault, position >= fault.position else { return try body(&folder) }
      if position > fault.position {
        if fault.forGood { throw failure }
        return try body(&folder)
      }
      switch fault.kind {
      case .before: break
      case .torn: torn(&folder)
      case .after: try body(&folder)
      }
      throw failure
    }
  }

  func write(_ name: String, fill: (borrowing OpenFile) throws -> Void) throws {
    let bytes = try bytes(fill)
    func put(_ bytes: [UInt8], _ folder: inout Folder) {
      folder.files[name] = bytes
      folder.durableContent[name] = nil
      // Names may become durable at any time, here at once: what is in the file then is not.
      folder.durableFiles[name] = Array(bytes.prefix(bytes.count / 3))
    }
    try operation("write \(name)", torn: { put(Array(bytes.prefix(bytes.count / 2)), &$0) }) { put(bytes, &$0) }
  }

  func sync(_ name: String) throws {
    try operation("sync \(name)") { folder in
      folder.durableContent[name] = folder.files[name]
      if folder.durableFiles[name] != nil { folder.durableFiles[name] = folder.files[name] }
    }
  }

  func rename(_ name: String, to newName: String) throws {
    try operation("rename \(name)") { folder in
      guard let bytes = folder.files.removeValue(forKey: name) else { throw Failure(.inputOutput, "no \(name)") }
      folder.files[newName] = bytes
      folder.durableContent[newName] = folder.durableContent.removeValue(forKey: name)
    }
  }

  func syncFolder() throws {
    try operation("sync folder") { folder in
      folder.durableFiles = folder.files
      for (name, bytes) in folder.files where folder.durableContent[name] == nil {
        folder.durableFiles[name] = Array(bytes.prefix(bytes.count / 3))
      }
    }
  }

  func names() throws -> [String] {
    try operation("names") { _ in }
    return files.keys.sorted()
  }

  func open(_ name: String) throws -> OpenFile {
    try operation("read \(name)") { _ in }
    guard let bytes = files[name] else { throw Failure(.badData, "no \(name)") }
    return try memoryFile(bytes, called: name)
  }

  func remove(_ name: String) throws {
    try operation("remove \(name)") { folder in
      guard folder.files.removeValue(forKey: name) != nil else { throw Failure(.inputOutput, "no \(name)") }
      folder.durableContent[name] = nil
      // A removal may become durable at any time, here at once: the worst case.
      folder.durableFiles[name] = nil
    }
  }
}

/// Writes tensors as float32 datasets at the root of a new file.
func writeTensors(_ tensors: [NamedTensor], to path: String) throws {
  let ordered = tensors.sorted { precedesInBytes($0.name, $1.name) }
  try writeFile(path) { file in try HDF5File.write(file) { try $0.write(ordered.map(LazyTensor.init)) } }
}
