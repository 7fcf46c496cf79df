import Checkpoints
import Diagnostics
import FileSystem
import TestSupport
import Testing

@Suite struct StoreTests {
  private func store(_ storage: any CheckpointStorage, keep: Int = 2, _ warnings: Warnings = Warnings())
    -> CheckpointStore
  {
    CheckpointStore(storage: storage, keep: keep, warn: warnings.add)
  }

  /// A folder after the commits of some steps.
  private func files(steps: [Int]) throws -> [String: [UInt8]] {
    let storage = MemoryStorage()
    for step in steps { try store(storage).commit(State(step: step).checkpoint) }
    return storage.files
  }

  @Test func namesAreThoseOfSteps() {
    #expect(CheckpointStore.name(ofStep: 42) == "step-00000042.h5")
    #expect(CheckpointStore.name(ofStep: 1_234_567_890) == "step-1234567890.h5")
    #expect(CheckpointStore.step(ofName: "step-00000042.h5") == 42)
    #expect(CheckpointStore.step(ofName: "step-1234567890.h5") == 1_234_567_890)
    for name in [
      "step-42.h5", "step-00000042.h5.partial", "step-000000042.h5", "best.h5", "step-+0000042.h5", "step-.h5",
      "step-.h",
    ] {
      #expect(CheckpointStore.step(ofName: name) == nil, "\(name)")
    }
  }

  @Test func commitsOnDiskAndComesBack() throws {
    try withTemporaryFolder { folder in
      let warnings = Warnings()
      let store = store(FolderStorage(folder), warnings)
      #expect(try store.newestValid() == nil)
      for step in [1, 2, 3] {
        let (name, sha256, byteCount) = try store.commit(State(step: step).checkpoint)
        let bytes = try readFile("\(folder)/\(name)")
        #expect(try bytes == State(step: step).encoded())
        #expect(byteCount == bytes.count)
        #expect(sha256 == SHA256.hexDigest(of: bytes))
      }
      #expect(try namesInFolder(folder) == ["step-00000002.h5", "step-00000003.h5"])
      let newest = try #require(try self.store(FolderStorage(folder), warnings).newestValid())
      #expect(try State(newest.checkpoint) == State(step: 3))
      #expect(newest.name == "step-00000003.h5")
      #expect(try State(store.open("step-00000002.h5")) == State(step: 2))
      #expect(try State(CheckpointFile(path: "\(folder)/step-00000002.h5")) == State(step: 2))
      #expect(throws: Failure.self) { try store.open("step-00000001.h5") }
      #expect(warnings.all.isEmpty)
    }
  }

  @Test func theOrderOfOperationsIsDurable() throws {
    let storage = MemoryStorage(files: try files(steps: [1, 2]))
    try store(storage).commit(State(step: 3).checkpoint)
    #expect(
      storage.operations.filter { !$0.hasPrefix("read") } == [
        "names", "write step-00000003.h5.partial", "sync step-00000003.h5.partial", "rename step-00000003.h5.partial",
        "sync folder", "names", "remove step-00000001.h5",
      ])
  }

  /// Steps 1 and 2 are there and 3 is committed; every operation fails once in every way, for good (a crash) or just
  /// then.
  @Test(arguments: MemoryStorage.Fault.allCases, [true, false])
  func everyFailureLeavesTheOldStateOrTheNew(_ fault: MemoryStorage.Fault, forGood: Bool) throws {
    let before = try files(steps: [1, 2])
    let (old, new) = (State(step: 2), State(step: 3))
    let whole = MemoryStorage(files: before)
    try store(whole).commit(new.checkpoint)
    let count = whole.operations.count
    #expect(count >= 7)
    for position in 0..<count {
      let storage = MemoryStorage(files: before)
      storage.fail(at: position, fault, forGood: forGood)
      let store = store(storage)
      let committed = (try? store.commit(new.checkpoint)) != nil
      // The program stopped, or the machine.
      for files in [storage.files, storage.durableFiles] {
        let warnings = Warnings()
        let rest = MemoryStorage(files: files)
        let newest = try #require(try self.store(rest, warnings).newestValid(), "operation \(position)")
        let found = try State(newest.checkpoint)
        #expect(found == new || (found == old && !committed), "operation \(position)")
        #expect(warnings.all.isEmpty, "operation \(position): \(warnings.all)")
        // The run goes on, and what the failure left is removed.
        let next = State(step: found.record.step + 1)
        try self.store(rest).commit(next.checkpoint)
        #expect(try self.store(rest).newestValid().map { try State($0.checkpoint) } == next)
        #expect(rest.files.count == 2, "operation \(position): \(rest.files.keys)")
      }
      // Nothing stopped: the same program tries again later.
      if !forGood {
        let later = State(step: 4)
        try store.commit(later.checkpoint)
        #expect(try store.newestValid().map { try State($0.checkpoint) } == later)
        #expect(storage.files == storage.durableFiles && storage.files.count == 2, "operation \(position)")
      }
    }
  }

  @Test func theFirstCommitMayFailToo() throws {
    for fault in MemoryStorage.Fault.allCases {
      for position in 0..<6 {
        let storage = MemoryStorage()
        storage.fail(at: position, fault, forGood: true)
        _ = try? store(storage).commit(State(step: 1).checkpoint)
        for files in [storage.files, storage.durableFiles] {
          let newest = try store(MemoryStorage(files: files)).newestValid().map { try State($0.checkpoint) }
          #expect(newest == nil || newest == State(step: 1), "operation \(position)")
        }
      }
    }
  }

  @Test func aDamagedNewestIsPassedOverWithAWarning() throws {
    let storage = MemoryStorage(files: try files(steps: [1, 2]))
    var bytes = try #require(storage.files["step-00000002.h5"])
    bytes[bytes.count / 2] ^= 1
    bytes.removeLast(100)
    storage.replace("step-00000002.h5", with: bytes)
    storage.replace("step-00000009.h5", with: try #require(storage.files["step-00000001.h5"]))
    storage.replace("step-00000010.h5", with: [])
    let warnings = Warnings()
    let newest = try #require(try store(storage, warnings).newestValid())
    #expect(try State(newest.checkpoint) == State(step: 1))
    #expect(warnings.all.map(\.name) == ["step-00000010.h5", "step-00000009.h5", "step-00000002.h5"])
    #expect(warnings.all[0].reason.contains("empty"))
    #expect(warnings.all[1].reason.contains("holds step 1"))
    #expect(warnings.all[2].reason.contains("truncated"))
  }

  /// It may be whole: to go on from an older one would lose the work since.
  @Test func aCheckpointThatCannotBeReadIsAFailure() throws {
    let storage = MemoryStorage(files: try files(steps: [1, 2]))
    storage.fail(at: 1, .before, forGood: false)
    let warnings = Warnings()
    let failure = expectError(Failure.self) { try store(storage, warnings).newestValid() }
    #expect(failure?.code == .inputOutput)
    #expect(storage.operations == ["names", "read step-00000002.h5"])
    #expect(warnings.all.isEmpty)
    #expect(try store(storage).newestValid()?.name == "step-00000002.h5")
  }

  @Test func damageToWhatIsNotNeededIsPassedOver() throws {
    let state = State(step: 2)
    let storage = MemoryStorage(files: try files(steps: [1, 2]))
    var bytes = try #require(storage.files["step-00000002.h5"])
    let moment = state.secondMoments[1].values.withUnsafeBytes { Array($0) }
    let position = try #require(bytes.indices.first { bytes[$0...].starts(with: moment) })
    bytes[position] ^= 1
    storage.replace("step-00000002.h5", with: bytes)
    let warnings = Warnings()
    let store = store(storage, warnings)
    let newest = try #require(try store.newestValid([.parameters, .teacher]))
    #expect(newest.name == "step-00000002.h5" && warnings.all.isEmpty)
    #expect(try store.newestValid()?.name == "step-00000001.h5")
    #expect(warnings.all.map(\.name) == ["step-00000002.h5"])
  }

  @Test func aCheckpointFromElsewhereIsTakenOverAsItIs() throws {
    let other = MemoryStorage(files: try files(steps: [4]))
    let storage = MemoryStorage(files: try files(steps: [1, 2]))
    try store(storage).commit(copyOf: store(other).open("step-00000004.h5"))
    #expect(storage.files["step-00000004.h5"] == other.files["step-00000004.h5"])
    #expect(storage.files.keys.sorted() == ["step-00000002.h5", "step-00000004.h5"])
    #expect(storage.files == storage.durableFiles)
  }

  @Test func noValidCheckpointIsAFailure() throws {
    let storage = MemoryStorage(files: ["step-00000001.h5": [1, 2, 3]])
    let warnings = Warnings()
    let failure = expectError(Failure.self) { try store(storage, warnings).newestValid() }
    #expect(failure?.code == .badData)
    #expect(warnings.all.count == 1)
  }

  @Test func damagedOnesDoNotCountAmongTheKept() throws {
    let storage = MemoryStorage(files: try files(steps: [1, 2]))
    storage.replace("step-00000002.h5", with: [1, 2, 3])
    let warnings = Warnings()
    let store = store(storage, warnings)
    try store.commit(State(step: 3).checkpoint)
    #expect(storage.files.keys.sorted() == ["step-00000001.h5", "step-00000002.h5", "step-00000003.h5"])
    #expect(warnings.all.map(\.name) == ["step-00000002.h5"])
    try store.commit(State(step: 4).checkpoint)
    #expect(storage.files.keys.sorted() == ["step-00000003.h5", "step-00000004.h5"])
    #expect(warnings.all.count == 1)
  }

  @Test func onlyOldCheckpointsAndLeftoversAreRemoved() throws {
    let others = ["notes.txt", "best.h5", "other.partial", "step-1.h5", "step-00000001.h5.bak"]
    var files = try files(steps: [7, 8])
    for name in others + ["step-00000005.h5.partial"] { files[name] = [1] }
    let storage = MemoryStorage(files: files)
    try store(storage, keep: 0).commit(State(step: 9).checkpoint)
    #expect(storage.files.keys.sorted() == (others + ["step-00000008.h5", "step-00000009.h5"]).sorted())
  }

  @Test func theOneJustWrittenStaysEvenBelowNewerOnes() throws {
    let storage = MemoryStorage(files: try files(steps: [8, 9]))
    try store(storage).commit(State(step: 3).checkpoint)
    #expect(storage.files.keys.sorted() == ["step-00000003.h5", "step-00000008.h5", "step-00000009.h5"])
  }

  @Test func keepsAsManyAsAsked() throws {
    let storage = MemoryStorage()
    let store = store(storage, keep: 3)
    for step in 1...5 { try store.commit(State(step: step).checkpoint) }
    #expect(storage.files.keys.sorted() == [3, 4, 5].map { CheckpointStore.name(ofStep: $0) })
  }

  @Test func aFolderThatIsNotThereIsAFailure() {
    let store = store(FolderStorage("/nonexistent/checkpoints"))
    #expect(throws: Failure.self) { try store.newestValid() }
    #expect(throws: Failure.self) { try store.commit(State().checkpoint) }
  }
}
