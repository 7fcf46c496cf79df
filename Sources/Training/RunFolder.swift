import Checkpoints
import Collectives
import Diagnostics
import FileSystem
import Foundation
import Glibc
import Jobs

/// The files of a run.
public struct RunFolder: Sendable {
  public let path: String

  public init(_ path: String) { self.path = path }

  /// The run that a checkpoint is of; nil where it does not lie in a run's folder.
  public init?(ofCheckpoint path: String) {
    let place = folder(of: URL(fileURLWithPath: path).standardizedFileURL.path)
    self.init(folder(of: place))
    guard place == checkpoints || place == best else { return nil }
  }

  public var checkpoints: String { "\(path)/checkpoints" }
  /// The checkpoint of the best evaluation, and the one that was the best before.
  public var best: String { "\(path)/best" }
  var configuration: String { "\(path)/config.toml" }
  /// The images that the run does without.
  var skipped: String { "\(path)/skipped.jsonl" }
  var log: String { "\(path)/log.jsonl" }
  // The same for other programs.
  var table: String { "\(path)/log.csv" }
  var tensorBoard: String { "\(path)/events.out.tfevents" }
  var provenance: String { "\(path)/provenance.jsonl" }

  /// The evaluations on the way up to a step that the log tells of.
  /// - Throws: `Failure(.inputOutput)`.
  public func evaluations(upTo step: Int) throws -> [EvaluationEvent] {
    guard step > 0, isFile(log) else { return [] }
    return try readFile(log).split(separator: UInt8(ascii: "\n")).compactMap {
      try? decodeJSON(EvaluationEvent.self, from: $0)
    }.filter { $0.step <= step }
  }

  /// Whether there may be something to go on from.
  var hasCheckpoints: Bool {
    (try? namesInFolder(checkpoints))?.contains { CheckpointStore.step(ofName: $0) != nil } == true
  }

  /// Makes the folder and keeps other trainers out of it for as long as the lock lives.
  /// - Returns: nil, after a warning, where the file system has no locks.
  /// - Throws: `Failure(.configuration)` where another trainer has it, `Failure(.inputOutput)` where it cannot be made.
  func lock(_ console: Console) throws -> FileLock? {
    try makeFolder(path)
    do {
      let holder = "rd-train, process \(getpid()) on host \(LaunchEnvironment.hostName)"
      // The ranks of a job that was killed may end a moment after it.
      let lock = try FileLock("\(path)/lock", holder: holder, patience: .seconds(5))
      if lock == nil {
        console.warn("\(path): its file system has no locks: take care that no other rd-train writes there")
      }
      return lock
    } catch let failure as Failure where failure.code == .configuration {
      throw Failure(failure.code, failure.message, hint: "wait for its end, or choose another --output")
    }
  }

  /// Puts the checkpoints and the log of an earlier run aside, under the next free number, so that a new one can begin here.
  /// - Returns: where the checkpoints went; nil where there were none.
  /// - Throws: `Failure(.inputOutput)`.
  func setAside() throws -> String? {
    guard isFolder(checkpoints) else { return nil }
    let number = freeNumber()
    if isFolder(best) { try renameFile(best, to: "\(best)-\(number)") }
    if isFile(log) { try renameFile(log, to: "\(path)/log-\(number).jsonl") }
    // Last: as long as they are there, all of this is done again.
    try renameFile(checkpoints, to: "\(checkpoints)-\(number)")
    try syncFolder(path)
    return "\(checkpoints)-\(number)"
  }

  /// Puts the checkpoints of later steps aside, which would be taken for the newest, and a copy of the log that tells of these steps.
  func setAside(after step: Int) throws -> String? {
    let later = try namesInFolder(checkpoints).filter { (CheckpointStore.step(ofName: $0) ?? step) > step }
    guard !later.isEmpty else { return nil }
    let number = freeNumber()
    try makeFolder("\(checkpoints)-\(number)")
    if isFile(log) { try writeFile("\(path)/log-\(number).jsonl", bytes: readFile(log)) }
    for name in later { try renameFile("\(checkpoints)/\(name)", to: "\(checkpoints)-\(number)/\(name)") }
    // The run on from here has a best of its own.
    if isFolder(best) { try renameFile(best, to: "\(best)-\(number)") }
    try syncFolder(path)
    return "\(checkpoints)-\(number)"
  }

  /// Removes the best checkpoints of later steps, which a life that was killed wrote after its last checkpoint on the way.
  /// - Parameter isComputedAgain: whether a checkpoint is one that the run from here comes to, bit by bit.
  /// - Throws: `Failure(.inputOutput)`.
  func removeBests(after step: Int, where isComputedAgain: (CheckpointFile) -> Bool) throws {
    guard isFolder(best) else { return }
    for name in try namesInFolder(best) where (CheckpointStore.step(ofName: name) ?? step) > step {
      let path = "\(best)/\(name)"
      if let checkpoint = try? CheckpointFile(path: path), isComputedAgain(checkpoint) { try removeFile(path) }
    }
  }

  /// Puts the best checkpoints aside where the newest is not of the best evaluation that the run knows: of another criterion, of another
  /// run, or of a life whose log is lost.
  /// - Returns: where they went.
  func setBestAside(unlessOf step: Int?) throws -> String? {
    guard isFolder(best) else { return nil }
    let newest = try namesInFolder(best).compactMap(CheckpointStore.step).max()
    guard let newest, newest != step else { return nil }
    let place = "\(best)-\(freeNumber())"
    try renameFile(best, to: place)
    try syncFolder(path)
    return place
  }

  private func freeNumber() -> Int {
    var number = 1
    while isFile("\(path)/log-\(number).jsonl")
      || [checkpoints, best].contains(where: { isFolder("\($0)-\(number)") })
    {
      number += 1
    }
    return number
  }

  /// Makes the folders, so that they survive a loss of power.
  /// - Throws: `Failure(.inputOutput)`.
  func make() throws {
    try makeFolder(checkpoints)
    try syncFolder(folder(of: path))
    try syncFolder(path)
  }
}
