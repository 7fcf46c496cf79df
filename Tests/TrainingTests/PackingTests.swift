import Collectives
import Diagnostics
import Foundation
import Imagery
import Jobs
import TestSupport
import Testing

@testable import Training

@Suite struct PackedJobTests {
  /// What each rank's group took, by rank.
  private func tasksTaken(
    _ count: Int, ranks: Int, ranksPerGroup: Int, stopAt stop: Int? = nil
  ) throws -> [(group: Int, tasks: [Int])] {
    try LocalCommunicator.run(size: ranks) { communicator in
      let job = try PackedJob(tasks: count, ranksPerGroup: ranksPerGroup, over: communicator)
      #expect(job.groupCount == (ranks + ranksPerGroup - 1) / ranksPerGroup)
      #expect(job.group.size <= ranksPerGroup && job.group.rankInJob == communicator.rank)
      var tasks: [Int] = []
      try job.forEachTask { task in
        tasks.append(task)
        // All ranks of a group have the same.
        #expect(try job.group.allGather(values: [task]).allSatisfy { $0 == task })
        if task == stop { try job.stop() }
      }
      #expect(try job.isStopWanted() == (stop != nil && job.group.rank == 0))
      return (communicator.rank / ranksPerGroup, tasks)
    }
  }

  @Test(arguments: [(0, 2, 1), (1, 3, 1), (20, 1, 1), (20, 4, 1), (20, 4, 2), (21, 5, 2), (20, 3, 8)])
  func everyTaskIsTakenOnce(tasks: Int, ranks: Int, ranksPerGroup: Int) throws {
    let taken = try tasksTaken(tasks, ranks: ranks, ranksPerGroup: ranksPerGroup)
    let groups = Dictionary(grouping: taken, by: \.group).values
    #expect(groups.flatMap { $0[0].tasks }.sorted() == Array(0..<tasks))
    #expect(groups.allSatisfy { group in group.allSatisfy { $0.tasks == group[0].tasks } })
  }

  @Test func aStopLeavesTheRest() throws {
    let taken = try tasksTaken(1000, ranks: 3, ranksPerGroup: 1, stopAt: 4).flatMap(\.tasks)
    #expect(Set(taken).isSuperset(of: 0..<5) && Set(taken).count == taken.count && taken.count < 1000)
  }

  @Test func whatATaskThrowsEndsTheJob() {
    #expect(throws: Failure.self) {
      try LocalCommunicator.run(size: 2) { communicator in
        let job = try PackedJob(tasks: 2, ranksPerGroup: 1, over: communicator)
        try job.forEachTask { _ in throw Failure(.badData, "bad") }
      }
    }
  }

  @Test func aStopRequestIsHeardByAllGroups() throws {
    let reasons = try LocalCommunicator.run(size: 2) { communicator in
      let job = try PackedJob(tasks: 0, ranksPerGroup: 1, over: communicator)
      // The time of one rank's job is over.
      let requests = StopRequests(end: communicator.rank == 0 ? .now : nil).shared(in: job)
      var reason = ""
      func check() {
        do { try requests.check(reserve: .seconds(1)) } catch { reason = "\((error as? Failure)?.message ?? "")" }
      }
      if communicator.rank == 0 { check() }
      try communicator.barrier()
      if communicator.rank == 1 { check() }
      return reason
    }
    #expect(reasons == ["stopped before the job's time ends", "stopped because another group of ranks was"])
  }
}

@Suite struct PackingSummaryTests {
  private func outcome(_ category: String, _ failure: Failure? = nil, ended: Double = 0) -> CategoryOutcome {
    var outcome = CategoryOutcome(category, failure)
    outcome.ended = Date(timeIntervalSince1970: ended)
    return outcome
  }

  @Test func theFirstFailureIsTheJobs() throws {
    let summary = PackingSummary(
      ["a", "b", "c"],
      outcomes: [
        outcome("c", Failure(.inputOutput, "disk full\nsecond line"), ended: 1), outcome("b"),
        outcome("a", Failure(.badData, "bad.png"), ended: 2),
      ], path: "runs/summary.json")
    #expect(summary.failure?.code == .inputOutput && summary.failure?.isOnAllRanks == true)
    #expect(summary.failure?.message == "2 of 3 categories failed: a, c")
    #expect(summary.failure?.hint?.hasPrefix("runs/summary.json says why") == true)
    #expect(summary.categories.map(\.category) == ["a", "b", "c"])
    #expect(summary.table[3].hasSuffix("disk full"))
  }

  @Test func aStopWinsOverFailuresSinceThereIsWorkLeft() {
    let summary = PackingSummary(
      ["a", "b"], outcomes: [outcome("a", Failure(.badData, "bad.png"))], path: "runs/summary.json")
    #expect(summary.failure?.code == .stoppedResumable)
    #expect(summary.categories[1].result == .stopped && summary.categories[1].steps == nil)
  }

  @Test func allDoneIsSuccess() throws {
    var done = outcome("hazelnut")
    done.note(losses: [2, 1.25])
    done.minutes = 12.34
    let summary = PackingSummary(["hazelnut"], outcomes: [done], path: "runs/summary.json")
    #expect(summary.failure == nil)
    #expect(
      summary.table == [
        "category  result  steps  last loss  minutes", "hazelnut  done        2     1.2500     12.3",
      ])
    let object = try JSONSerialization.jsonObject(with: Data(summary.json())) as? [String: Any]
    let category = (object?["categories"] as? [[String: Any]])?.first
    #expect(object?["exit_code"] as? Int == 0 && category?["result"] as? String == "done")
    #expect(category?["minutes"] as? Double == 12.34 && category?["steps"] as? Int == 2)
  }
}

@Suite struct CategorySelectionTests {
  @Test(arguments: [
    (nil, CategorySelection.single), ("hazelnut", .single), ("metal nut", .single), ("all", .all),
    ("a,b", .listed(["a", "b"])), ("metal nut , b", .listed(["metal nut", "b"])),
  ])
  func whatIsAskedFor(text: String?, expected: CategorySelection) {
    #expect(CategorySelection(text) == expected)
  }
}

@Suite struct PackedMemoryTests {
  /// Three categories one after another in one process take the memory of one.
  @Test func buffersAreFreedBetweenCategories() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(atPath: folder("data"), withIntermediateDirectories: true)
    for seed in 1...3 {
      try SyntheticDataSet.write(
        to: folder("\(seed)"), seed: UInt64(seed), imageSize: 64, trainingCount: 8, goodTestCount: 0, defectsPerKind: 0)
      try FileManager.default.moveItem(atPath: folder("\(seed)/surface"), toPath: folder("data/\(seed)"))
    }
    func peak(_ category: String) throws -> Double {
      var configuration = TrainingConfiguration(
        data: folder("data"), teacher: "random:1", output: folder("run \(category)"))
      configuration.category = category
      configuration.backbone = .resNet18
      configuration.imageSize = 128
      configuration.batchSize = 8
      configuration.maxSteps = 1
      configuration.threads = 2
      let run = try ToolProcess.run("training-probe", ["peak", configuration.toml])
      try #require(run.code == 0, "\(run.errors)")
      return try #require(Double(run.output.filter { !$0.isWhitespace }))
    }
    let growth = try peak("all") / peak("1") - 1
    Measured.note("growth of memory over three categories", growth)
    // Some percent are the heap's gaps, once; either of Adam's moments would be ten.
    #expect(growth < 0.08)
  }
}
