// `fuzz-probe READER COUNT SEED FILE…`: lets a reader read so many files, each one of those given or made here with some damage. Every one must be
// read or refused with a `Failure`, in bounded memory and time; a crash ends the process, and prints nothing.
import Checkpoints
import Diagnostics
import FileSystem
import Foundation
import Imagery
import TensorFiles
import TestSupport
import Training

typealias Reader = (_ path: String) throws -> Void

/// What reads, and files that are added to those of the command line.
func reader(_ name: String) throws -> (read: Reader, files: [[UInt8]]) {
  switch name {
  case "tensors": return ({ _ = try TensorFile.read(path: $0) }, [])
  case "checkpoint":
    return ({ try CheckpointFile(path: $0).verify() }, [try smallCheckpoint()])
  case "teacher": return ({ _ = try HDF5TensorFile.read(path: $0) }, [try smallCheckpoint()])
  case "picture": return ({ _ = try ImageFile.decode($0) }, [])
  case "configuration":
    let configuration = TrainingConfiguration(data: "d", teacher: "random:1", output: "o")
    return (
      { _ = try TrainingConfiguration.resolve(file: $0) },
      [
        Array(configuration.toml.utf8),
        Array(
          "data = 'd'\nteacher = \"random:1\"\noutput = '''o'''\nseed = 0x10\n[ a.b ]\n[[c]]\nd = { e = [1, {}] }".utf8),
      ]
    )
  default: throw Failure(.usage, "no reader \(name)")
  }
}

func smallCheckpoint() throws -> [UInt8] {
  func tensor(_ name: String, _ shape: [Int]) -> LazyTensor {
    let count = shape.reduce(1, *)
    return LazyTensor(NamedTensor(name: name, shape: shape, values: (0..<count).map { Float($0) / 7 }))
  }
  // HDF5 keeps more than eight links in another form than fewer.
  let tensors =
    [tensor("bn.conv1.weight", [4, 3, 3, 3]), tensor("scale", [])] + (0..<24).map { tensor("bn.bn\($0).weight", [4]) }
  let record = CheckpointRecord(
    configuration: "seed = 1\n", producer: "fuzz", step: 3, epoch: 1, dataFingerprint: "ab", shardOrder: [2, 0, 1],
    teacherHash: "cd", lossHistory: [0.5, 0.25, 0.125], normalStatistics: nil)
  let checkpoint = Checkpoint(
    record,
    tensors: [
      .parameters: tensors, .firstMoments: tensors, .secondMoments: tensors,
      .teacher: [tensor("conv1.weight", [3, 2])],
    ])
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("fuzz-\(UUID()).h5").path
  defer { unlink(path) }
  try writeFile(path) { try checkpoint.write(to: $0) }
  return try readFile(path)
}

/// Sets the checksums of a PNG file's chunks right, so that damage gets past them.
func repairChecksums(_ bytes: inout [UInt8]) {
  var place = 8
  while place + 12 <= bytes.count {
    let length = bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) }
    guard place + 12 + length <= bytes.count else { return }
    let end = place + 8 + length
    let checksum = crc32(bytes[place + 4..<end])
    for index in 0..<4 { bytes[end + index] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * index)) }
    place = end + 4
  }
}

/// KiB of this process's memory at their highest.
func peakMemory() throws -> Int {
  let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
  return status.firstMatch(of: /VmHWM:\s+(\d+) kB/).flatMap { Int($0.1) } ?? 0
}

do {
  let arguments = CommandLine.arguments.dropFirst()
  guard arguments.count >= 3, let name = arguments.first, let count = Int(arguments.dropFirst().first ?? ""),
    let seed = UInt64(arguments.dropFirst(2).first ?? "")
  else { throw Failure(.usage, "fuzz-probe READER COUNT SEED FILE…") }
  let (read, made) = try reader(name)
  let files = try made + arguments.dropFirst(3).map(readFile)
  guard !files.isEmpty else { throw Failure(.usage, "no files to begin with") }
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("fuzz-\(UUID())").path
  defer { unlink(path) }
  var random = SeededGenerator(seed: seed)
  let before = try peakMemory()
  var (accepted, refused, longest) = (0, 0, Duration.zero)
  for number in 0..<count {
    var bytes = files[number % files.count]
    for _ in 0..<Int.random(in: 1...6, using: &random) { mutate(&bytes, &random) }
    if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]), Bool.random(using: &random) { repairChecksums(&bytes) }
    try createFile(path) { file in try bytes.withUnsafeBytes { try file.write($0) } }
    let began = ContinuousClock.now
    do {
      try read(path)
      accepted += 1
    } catch let failure as Failure {
      // Nothing was wrong with this program or this machine.
      guard [.badData, .configuration].contains(failure.code) else { throw failure }
      refused += 1
    }
    longest = max(longest, .now - began)
  }
  let milliseconds = longest.components.seconds * 1000 + longest.components.attoseconds / 1_000_000_000_000_000
  print(
    "\(name): \(count) files, \(accepted) read, \(refused) refused; at most \(milliseconds) ms and \((try peakMemory() - before) >> 10) MiB more"
  )
} catch {
  FileHandle.standardError.write(Data("fuzz-probe: \(error)\n".utf8))
  exit(1)
}
