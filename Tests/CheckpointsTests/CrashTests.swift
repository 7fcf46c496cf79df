import Checkpoints
import Diagnostics
import FileSystem
import Synchronization
import TestSupport
import Testing

/// Machines that lose their power at any time, on file systems that keep no order among what was not synced.
@Suite struct CrashTests {
  /// Lives of a few commits each, every one ended by a crash at some operation: after each, all that was committed is there, and a step that
  /// was being committed is there whole or not at all.
  @Test func noCommittedStepIsLost() throws {
    let states = try (0...40).map { try (State(step: $0), State(step: $0).encoded()) }
    let schedules = Thoroughness.count(10_000, sample: 80)
    var (crashes, commits, dropped) = (0, 0, 0)
    for schedule in 0..<schedules {
      var random = SeededGenerator(seed: UInt64(schedule))
      var disk = CrashingStorage.Disk()
      var committed = 0
      for _ in 0..<4 {
        let storage = CrashingStorage(disk, operationsUntilCrash: Int.random(in: 0..<40, using: &random))
        // What it warns of is that the power went.
        let store = CheckpointStore(storage: storage, keep: 2) { _ in }
        var begun = committed
        do {
          if committed > 0 { _ = try store.newestValid() }
          while begun < 40 {
            begun += 1
            try store.commit(copyOf: CheckpointFile(memoryFile(states[begun].1)))
            committed = begun
            commits += 1
          }
        } catch is CrashingStorage.Crash {
          crashes += 1
        }
        (disk, dropped) = storage.afterCrash(dropped: dropped, using: &random)
        let after = CrashingStorage(disk, operationsUntilCrash: .max)
        let lost = Warnings()
        let newest = try CheckpointStore(storage: after, keep: 2, warn: lost.add).newestValid()
        let step = newest?.checkpoint.record.step ?? 0
        #expect(step == committed || step == begun, "schedule \(schedule): step \(step) of \(committed)")
        if let newest { #expect(try State(newest.checkpoint) == states[step].0, "schedule \(schedule)") }
        #expect(lost.all.isEmpty, "schedule \(schedule): \(lost.all)")
        committed = step
      }
    }
    #expect(dropped > schedules)
    Thoroughness.report(
      "\(schedules) schedules with \(commits) commits and \(crashes) crashes that dropped \(dropped) operations: no committed step lost"
    )
  }

  /// The simulated disk itself: without a sync, content and names do get lost.
  @Test func theDiskLosesWhatIsNotSynced() throws {
    var (names, contents) = (Set<[String]>(), Set<Int>())
    for seed in 0..<50 as Range<UInt64> {
      var random = SeededGenerator(seed: seed)
      let storage = CrashingStorage(.init(), operationsUntilCrash: .max)
      try storage.write("a") { file in try [UInt8](repeating: 1, count: 2000).withUnsafeBytes { try file.write($0) } }
      try storage.rename("a", to: "b")
      let after = CrashingStorage(storage.afterCrash(dropped: 0, using: &random).disk, operationsUntilCrash: .max)
      let left = try after.names()
      names.insert(left)
      if let name = left.first { contents.insert(try after.open(name).size()) }
    }
    #expect(names == [[], ["a"], ["b"], ["a", "b"]])
    #expect(contents.count > 3)
  }
}

/// A folder whose operations are durable once they are synced. A crash keeps any of the others, in any order, and any blocks of what was written.
final class CrashingStorage: CheckpointStorage {
  struct Crash: Error {}

  /// What is on the disk: files by number, and their names.
  struct Disk {
    var contents: [Int: [UInt8]] = [:]
    var names: [String: Int] = [:]
  }

  private enum NameChange {
    case create(String, Int)
    case rename(String, String, Int)
    case remove(String)

    func apply(to names: inout [String: Int]) {
      switch self {
      case .create(let name, let file): names[name] = file
      case .rename(let old, let new, let file):
        if names[old] == file { names[old] = nil }
        names[new] = file
      case .remove(let name): names[name] = nil
      }
    }
  }

  private struct Folder {
    /// What a process sees.
    var seen: Disk
    var durable: Disk
    /// Since the folder was synced.
    var changes: [NameChange] = []
    /// Files with content that was not synced.
    var unsynced: Set<Int> = []
    var nextFile: Int
    var operationsLeft: Int
  }

  private let folder: Mutex<Folder>
  let location = "disk"

  init(_ disk: Disk, operationsUntilCrash: Int) {
    folder = Mutex(
      Folder(
        seen: disk, durable: disk, nextFile: (disk.contents.keys.max() ?? 0) + 1,
        operationsLeft: operationsUntilCrash))
  }

  /// What the disk holds after the power went.
  /// - Returns: that, and how many changes are lost together with those before.
  func afterCrash(dropped: Int, using random: inout SeededGenerator) -> (disk: Disk, dropped: Int) {
    folder.withLock { folder in
      var (disk, dropped) = (folder.durable, dropped)
      for change in folder.changes.shuffled(using: &random) {
        if Bool.random(using: &random) { change.apply(to: &disk.names) } else { dropped += 1 }
      }
      for file in folder.unsynced.sorted() {
        guard let written = folder.seen.contents[file] else { continue }
        dropped += 1
        let old = folder.durable.contents[file] ?? []
        var left = Array(written.prefix(Int.random(in: 0...written.count, using: &random)))
        for block in stride(from: 0, to: left.count, by: 512) where Bool.random(using: &random) {
          for place in block..<min(block + 512, left.count) { left[place] = place < old.count ? old[place] : 0 }
        }
        disk.contents[file] = left
      }
      let inUse = Set(disk.names.values)
      disk.contents = disk.contents.filter { inUse.contains($0.key) }
      for file in inUse where disk.contents[file] == nil { disk.contents[file] = [] }
      return (disk, dropped)
    }
  }

  private func operation<Result: Sendable>(_ body: (inout Folder) throws -> Result) throws -> Result {
    try folder.withLock { folder in
      guard folder.operationsLeft > 0 else { throw Crash() }
      folder.operationsLeft -= 1
      return try body(&folder)
    }
  }

  func write(_ name: String, fill: (borrowing OpenFile) throws -> Void) throws {
    let content = try bytes(fill)
    func put(_ content: [UInt8], _ folder: inout Folder) {
      let file = folder.nextFile
      folder.nextFile += 1
      folder.seen.contents[file] = content
      folder.seen.names[name] = file
      folder.unsynced.insert(file)
      folder.changes.append(.create(name, file))
    }
    // The power may go while it is written, too.
    try operation { put(Array(content.prefix(content.count / 2)), &$0) }
    try operation { put(content, &$0) }
  }

  func sync(_ name: String) throws {
    try operation { folder in
      guard let file = folder.seen.names[name] else { throw Failure(.inputOutput, "no \(name)") }
      folder.durable.contents[file] = folder.seen.contents[file]
      folder.unsynced.remove(file)
    }
  }

  func rename(_ name: String, to newName: String) throws {
    try operation { folder in
      guard let file = folder.seen.names.removeValue(forKey: name) else { throw Failure(.inputOutput, "no \(name)") }
      folder.seen.names[newName] = file
      folder.changes.append(.rename(name, newName, file))
    }
  }

  func syncFolder() throws {
    try operation { folder in
      for change in folder.changes { change.apply(to: &folder.durable.names) }
      folder.changes = []
    }
  }

  func names() throws -> [String] { try operation { $0.seen.names.keys.sorted() } }

  func open(_ name: String) throws -> OpenFile {
    let content = try operation { folder in folder.seen.names[name].flatMap { folder.seen.contents[$0] } }
    guard let content else { throw Failure(.badData, "no \(name)") }
    return try memoryFile(content, called: name)
  }

  func remove(_ name: String) throws {
    try operation { folder in
      guard folder.seen.names.removeValue(forKey: name) != nil else { throw Failure(.inputOutput, "no \(name)") }
      folder.changes.append(.remove(name))
    }
  }
}
