import Diagnostics
import FileSystem
import Synchronization

/// Something that went wrong with a checkpoint file and that the store could do without.
public struct CheckpointWarning: Sendable, Equatable {
  /// The file's name in its folder; the folder's own where no file is meant.
  public let name: String
  public let reason: String
}

/// The checkpoints of one run.
///
/// A checkpoint takes its name only when all of it is on disk, and older ones are removed only after that: whenever the
/// program or the machine stops, the previous checkpoint is there and the new one is whole or absent.
public final class CheckpointStore: Sendable {
  private static let prefix = "step-"
  private static let suffix = ".h5"
  private static let partial = ".partial"

  private let storage: any CheckpointStorage
  private let keep: Int
  private let warn: @Sendable (CheckpointWarning) -> Void
  /// The files already found to be valid or not: each is read through once.
  private let verdicts = Mutex<[String: Bool]>([:])

  /// - Parameters:
  ///   - storage: where the checkpoints are.
  ///   - keep: how many valid checkpoints are kept, at least 2.
  ///   - warn: is told of every damaged checkpoint passed over and of every file that could not be removed.
  public init(
    storage: any CheckpointStorage, keep: Int = 2, warn: @escaping @Sendable (CheckpointWarning) -> Void
  ) {
    self.storage = storage
    self.keep = max(2, keep)
    self.warn = warn
  }

  /// The name of the file of a step.
  public static func name(ofStep step: Int) -> String {
    let digits = String(step)
    return prefix + String(repeating: "0", count: max(0, 8 - digits.count)) + digits + suffix
  }

  /// The step that a file is of by its name, nil where it is not named as a checkpoint.
  public static func step(ofName name: String) -> Int? {
    guard name.hasPrefix(prefix), name.hasSuffix(suffix),
      let step = Int(name.dropFirst(prefix.count).dropLast(suffix.count)), step >= 0, Self.name(ofStep: step) == name
    else { return nil }
    return step
  }

  /// Writes a checkpoint, and then removes those older than the newest `keep` valid ones.
  ///
  /// - Returns: the name, hash and size of the file written.
  /// - Throws: ``Failure`` where the checkpoint could not be written or made durable. What cannot be removed is a
  ///   warning.
  @discardableResult
  public func commit(_ checkpoint: Checkpoint) throws -> (name: String, sha256: String, byteCount: Int) {
    try commit(step: checkpoint.record.step) { try checkpoint.write(to: $0) }
  }

  /// Takes over a checkpoint from elsewhere, byte for byte, by the same rules.
  /// - Throws: ``Failure`` where it could not be written or made durable.
  public func commit(copyOf checkpoint: CheckpointFile) throws {
    _ = try commit(step: checkpoint.record.step) { try checkpoint.copy(to: $0) }
  }

  private func commit(
    step: Int, fill: (borrowing OpenFile) throws -> Void
  ) throws -> (name: String, sha256: String, byteCount: Int) {
    let name = Self.name(ofStep: step)
    let temporary = name + Self.partial
    // First, so that what an earlier crash left does not fill the disk.
    removing(try storage.names().filter { Self.isPartial($0) })
    let (sha256, byteCount): (String, Int)
    do {
      try storage.write(temporary, fill: fill)
      try storage.sync(temporary)
      let written = try storage.open(temporary)
      (sha256, byteCount) = (try written.sha256(), try written.size())
      try storage.rename(temporary, to: name)
    } catch {
      try? storage.remove(temporary)
      throw error
    }
    verdicts.withLock { $0[name] = true }
    try storage.syncFolder()
    removeOld(butNot: name)
    return (name, sha256, byteCount)
  }

  /// The checkpoint of the highest step that is whole, after a warning for each damaged one above.
  ///
  /// - Parameter parts: the tensors that are needed: the others may be damaged.
  /// - Returns: nil where there is no checkpoint at all.
  /// - Throws: ``Failure`` with code `badData` where there are some but all are damaged, `inputOutput` where the folder
  ///   or a checkpoint cannot be read: it may be whole.
  public func newestValid(
    _ parts: [CheckpointPart] = CheckpointPart.allCases
  ) throws -> (checkpoint: CheckpointFile, name: String)? {
    let names = try stepNames()
    for name in names {
      do {
        return (try verified(name, parts), name)
      } catch let failure as Failure where failure.code == .badData {
        warn(CheckpointWarning(name: name, reason: "\(failure)"))
      }
    }
    guard names.isEmpty else {
      throw Failure(
        .badData, "\(storage.location): none of the \(names.count) checkpoints can be used",
        hint: "the warnings before this say why; to start anew, use another folder")
    }
    return nil
  }

  /// Opens one of the store's checkpoints; its tensors are checked when they are read.
  /// - Throws: ``Failure`` that says why it cannot be used.
  public func open(_ name: String) throws -> CheckpointFile {
    let checkpoint = try CheckpointFile(storage.open(name))
    if let step = Self.step(ofName: name), step != checkpoint.record.step {
      throw Failure(
        .badData, "\(storage.location)/\(name): holds step \(checkpoint.record.step)", hint: "the file was renamed")
    }
    return checkpoint
  }

  private func verified(_ name: String, _ parts: [CheckpointPart]) throws -> CheckpointFile {
    do {
      let checkpoint = try open(name)
      try checkpoint.verify(parts)
      if parts == CheckpointPart.allCases { verdicts.withLock { $0[name] = true } }
      return checkpoint
    } catch {
      verdicts.withLock { $0[name] = false }
      throw error
    }
  }

  private static func isPartial(_ name: String) -> Bool {
    name.hasSuffix(partial) && step(ofName: String(name.dropLast(partial.count))) != nil
  }

  /// The names of the checkpoints, the highest step first.
  private func stepNames() throws -> [String] {
    try storage.names().compactMap { name in Self.step(ofName: name).map { (step: $0, name: name) } }
      .sorted { $0.step > $1.step }.map(\.name)
  }

  private func removeOld(butNot written: String) {
    let names: [String]
    do {
      names = try stepNames()
    } catch {
      return warn(CheckpointWarning(name: storage.location, reason: "\(error)"))
    }
    var valid = 0
    var old: [String] = []
    for name in names {
      if valid >= keep {
        if name != written { old.append(name) }
      } else if isValid(name) {
        valid += 1
      }
    }
    // The oldest first: stopped midway, the newest are left.
    removing(old.reversed())
  }

  private func isValid(_ name: String) -> Bool {
    if let verdict = verdicts.withLock({ $0[name] }) { return verdict }
    do {
      _ = try verified(name, CheckpointPart.allCases)
      return true
    } catch {
      warn(CheckpointWarning(name: name, reason: "\(error)"))
      return false
    }
  }

  private func removing(_ names: [String]) {
    for name in names {
      do {
        try storage.remove(name)
      } catch {
        warn(CheckpointWarning(name: name, reason: "\(error)"))
      }
    }
  }
}
