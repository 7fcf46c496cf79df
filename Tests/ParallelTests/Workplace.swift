import Diagnostics
import Foundation
import TestSupport
import Testing

/// The built tools as processes, also under mpirun. Each fills the machine: one at a time.
@Suite(.serialized, .enabled(if: ToolProcess.hasMPI)) struct ParallelTests {}

/// What the tests share: a tiny data set and a few runs, each made once.
enum Workplace {
  private static let folder: URL = {
    // Globals are never released, so the folder is removed by hand.
    atexit { try? FileManager.default.removeItem(at: Workplace.folder) }
    return FileManager.default.temporaryDirectory.appendingPathComponent("rd parallel \(UUID())")
  }()

  private static let dataFolder = Result {
    let path = folder.appendingPathComponent("data").path
    let made = try ToolProcess.run(
      "rd-data", ["synthesize", path, "--image-size", "64", "--train", "10", "--test-good", "2", "--test-defects", "1"])
    guard made.code == 0 else { throw ToolProcess.Trouble(description: made.errors) }
    return path
  }

  /// Ten normal images and six to test with, in the category "surface".
  static func data() throws -> String { try dataFolder.get() }

  private static let categoryFolder = Result {
    let path = folder.appendingPathComponent("categories").path
    for (category, images) in [("a", 10), ("b", 8), ("c", 7), ("d", 6)] {
      try FileManager.default.createDirectory(atPath: "\(path)/\(category)/train", withIntermediateDirectories: true)
      let target = "\(path)/\(category)/train/good"
      try FileManager.default.copyItem(atPath: data() + "/surface/train/good", toPath: target)
      for number in images..<10 { try FileManager.default.removeItem(atPath: "\(target)/00\(number).png") }
    }
    return path
  }

  /// The categories a, b, c and d, with 10, 8, 7 and 6 normal images. Not to be changed.
  static func categories() throws -> String { try categoryFolder.get() }

  /// Ten images in batches of 4, 4 and 2 over 8 shards: nothing divides anything. Two epochs, the second one cut short.
  static func standardOptions() throws -> [String] {
    [
      "--data", try data(), "--category", "surface", "--teacher", "random:1", "--backbone", "resnet18",
      "--image-size", "32", "--batch-size", "4", "--epochs", "2", "--max-steps", "5", "--threads", "2",
    ]
  }

  /// Runs rd-train; of options that are given twice, the later ones hold.
  static func train(
    _ options: [String] = [], output: String, ranks: Int? = nil, environment: [String: String] = [:],
    shell: String? = nil
  ) throws -> ToolProcess.Outcome {
    try start(options, output: output, ranks: ranks, environment: environment, shell: shell).wait()
  }

  /// Starts rd-train, and does not wait for its end.
  static func start(
    _ options: [String] = [], output: String, ranks: Int? = nil, environment: [String: String] = [:],
    shell: String? = nil
  ) throws -> RunningTool {
    try ToolProcess.start(
      "rd-train", standardOptions() + ["--output", output] + options, ranks: ranks, environment: environment,
      shell: shell)
  }

  /// Runs rd-train to the end in a folder that is gone afterwards.
  static func trained(
    _ options: [String] = [], ranks: Int? = nil, environment: [String: String] = [:],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> TrainedRun {
    let folder = try TemporaryFolder()
    let outcome = try train(options, output: folder("run"), ranks: ranks, environment: environment)
    try #require(outcome.code == 0, "\(outcome.errors)", sourceLocation: sourceLocation)
    return try TrainedRun(folder("run"), outcome)
  }

  private static func shared(_ name: String, _ options: [String]) -> Result<TrainedRun, any Error> {
    Result {
      let path = folder.appendingPathComponent(name).path
      let outcome = try train(options, output: path)
      guard outcome.code == 0 else { throw ToolProcess.Trouble(description: outcome.errors) }
      return try TrainedRun(path, outcome)
    }
  }

  private static let standardRun = shared("standard", [])
  private static let stepwiseRun = Result {
    let run = try shared(
      "stepwise", ["--checkpoint-every", "1 steps", "--keep-checkpoints", "5", "--statistics", "checkpoint"]
    ).get()
    // Nobody goes on from these, and they take much of a disk.
    for step in [2, 5] { try FileManager.default.removeItem(atPath: run.checkpoint(step)) }
    return run
  }
  private static let runWithoutTeacher = shared("without teacher", ["--no-embed-teacher", "--max-steps", "1"])

  /// The standard run, on one rank without mpirun. Not to be changed.
  static func standard() throws -> TrainedRun { try standardRun.get() }
  /// The same with a complete checkpoint after every step, of which 1, 3 and 4 are there. Not to be changed.
  static func stepwise() throws -> TrainedRun { try stepwiseRun.get() }
  /// A step only, and the teacher's hash only.
  static func withoutTeacher() throws -> TrainedRun { try runWithoutTeacher.get() }
}

/// What a run of rd-train left.
struct TrainedRun {
  struct Step: Codable, Equatable {
    let step: Int
    let epoch: Int
    let loss: Double
  }

  let path: String
  /// The SHA-256 of each checkpoint that was written, by its step.
  let hashes: [Int: String]
  /// What the log says.
  let steps: [Step]

  init(_ path: String, _ outcome: ToolProcess.Outcome) throws {
    self.path = path
    var hashes: [Int: String] = [:]
    for line in outcome.errors.split(separator: "\n") where line.hasPrefix("checkpoint ") {
      let parts = line.split(separator: " ")
      let number = line.firstMatch(of: /step-(\d{8})\.h5 sha256/).flatMap { Int($0.1) }
      hashes[try #require(number)] = String(try #require(parts.last))
    }
    self.hashes = hashes
    steps = try Self.log("\(path)/log.jsonl")
  }

  static func log(_ path: String) throws -> [Step] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").filter { $0.contains("\"loss\"") }.map {
      try JSONDecoder().decode(Step.self, from: Data($0.utf8))
    }
  }

  func checkpoint(_ step: Int) -> String { "\(path)/checkpoints/\(Self.name(step))" }
  static func name(_ step: Int) -> String { "step-" + String(100_000_000 + step).dropFirst() + ".h5" }

  /// The names of the checkpoints that are there.
  func checkpoints() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: "\(path)/checkpoints").sorted()
  }
}

/// The SHA-256 of a file.
func hash(ofFile path: String) throws -> String {
  SHA256.hexDigest(of: try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe))
}

/// Changes a byte in the middle of a file: of a checkpoint, in Adam's moments.
func damageMiddle(_ path: String) throws {
  let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
  let middle = try file.seekToEnd() / 2
  try file.seek(toOffset: middle)
  let byte = try file.read(upToCount: 1)?.first ?? 0
  try file.seek(toOffset: middle)
  try file.write(contentsOf: [byte ^ 1])
  try file.close()
}

/// Cuts a file in half.
func truncate(_ path: String) throws {
  let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
  try file.truncate(atOffset: file.seekToEnd() / 2)
  try file.close()
}

/// Expects a folder and everything in it to be as open as this.
func expectModes(
  in path: String, file: Int, folder: Int, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let manager = FileManager.default
  let paths = try manager.subpathsOfDirectory(atPath: path).map { "\(path)/\($0)" } + [path]
  #expect(paths.count > 5, "\(paths)", sourceLocation: sourceLocation)
  for path in paths {
    let attributes = try manager.attributesOfItem(atPath: path)
    let isFolder = attributes[.type] as? FileAttributeType == .typeDirectory
    #expect(
      (attributes[.posixPermissions] as? NSNumber)?.intValue == (isFolder ? folder : file), "\(path)",
      sourceLocation: sourceLocation)
  }
}
