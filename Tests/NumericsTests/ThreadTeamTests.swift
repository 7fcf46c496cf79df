import Numerics
import Synchronization
import Testing

@Suite struct ThreadTeamTests {
  struct Broken: Error, Equatable {
    let item: Int
  }

  @Test(arguments: 1...4)
  func everyItemRunsOnce(threads: Int) throws {
    let team = ThreadTeam(count: threads)
    defer { team.finish() }
    for items in [0, 1, 2, 3, 7, 100, 10_000] {
      let runs = Mutex([Int](repeating: 0, count: items))
      try team.run(items) { item, thread in
        precondition((0..<threads).contains(thread))
        runs.withLock { $0[item] += 1 }
      }
      #expect(runs.withLock { $0.allSatisfy { $0 == 1 } }, "\(items) items")
    }
  }

  @Test(arguments: 1...4)
  func valuesStandInTheirItemsPlaces(threads: Int) throws {
    let team = ThreadTeam(count: threads)
    defer { team.finish() }
    for items in [0, 1, 100] {
      #expect(try team.map(items) { "\($0)" } == (0..<items).map { "\($0)" })
      #expect(try team.map(items) { $0 % 2 == 0 ? nil : $0 } == (0..<items).map { $0 % 2 == 0 ? nil : $0 })
    }
    #expect(throws: Broken(item: 3)) { _ = try team.map(5) { if $0 == 3 { throw Broken(item: $0) } } }
  }

  /// Scratch memory is by thread number.
  @Test(arguments: 1...4)
  func noTwoItemsShareAThreadNumberAtATime(threads: Int) throws {
    let team = ThreadTeam(count: threads)
    defer { team.finish() }
    let collisions = Mutex(0)
    let busy = Mutex([Bool](repeating: false, count: threads))
    for _ in 0..<50 {
      try team.run(200) { _, thread in
        let wasBusy = busy.withLock { busy in
          defer { busy[thread] = true }
          return busy[thread]
        }
        if wasBusy { collisions.withLock { $0 += 1 } }
        busy.withLock { $0[thread] = false }
      }
    }
    #expect(collisions.withLock { $0 } == 0)
  }

  /// What the threads wrote is there when `run` returns, run after run.
  @Test(arguments: 1...4)
  func resultsAreCompleteInEveryOfManyRuns(threads: Int) throws {
    let team = ThreadTeam(count: threads)
    defer { team.finish() }
    let values = FloatBuffer(64)
    let pointer = values.pointer
    for run in 1...2_000 {
      try team.run(64) { item, _ in pointer[item] += 1 }
      guard values.values.allSatisfy({ $0 == Float(run) }) else {
        Issue.record("run \(run): \(values.values)")
        return
      }
    }
  }

  @Test(arguments: 1...4)
  func anErrorComesOutAndTheTeamGoesOn(threads: Int) throws {
    let team = ThreadTeam(count: threads)
    defer { team.finish() }
    for items in [1, 2, 5, 1_000] {
      for broken in Set([0, items / 2, items - 1]) {
        #expect(throws: Broken(item: broken)) {
          try team.run(items) { item, _ in if item == broken { throw Broken(item: item) } }
        }
      }
      #expect(throws: Broken.self) { try team.run(items) { item, _ in throw Broken(item: item) } }
      let count = Mutex(0)
      try team.run(items) { _, _ in count.withLock { $0 += 1 } }
      #expect(count.withLock { $0 } == items)
    }
  }

  @Test func teamsCanEndAtAnyTime() throws {
    for round in 0..<200 {
      let team = ThreadTeam(count: 3)
      if round % 2 == 0 { try team.run(3) { _, _ in } }
      team.finish()
    }
  }

  @Test func evenRangesCoverEverything() {
    for count in [0, 1, 5, 16, 17] {
      for parts in 1...6 {
        let ranges = (0..<parts).map { evenRange($0, of: parts, count: count) }
        #expect(ranges.flatMap { Array($0) } == Array(0..<count))
        #expect(ranges.allSatisfy { (count / parts...(count + parts - 1) / parts).contains($0.count) })
      }
    }
  }
}
