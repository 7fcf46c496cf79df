import Collectives
import Diagnostics
import Distillation
import FileSystem
import Foundation
import Jobs

/// Trains many categories in one job, each by a group of its ranks, as an ordinary run in a folder of its own.
public struct PackedTraining {
  private let configuration: TrainingConfiguration
  private let job: any JobCommunicator
  private let categories: [String]
  private let ranksPerCategory: Int
  private let teacher: TeacherWeights
  /// Of all ranks of the job: those of other groups want their part of a host too.
  private let placement: Placement
  private let stop: StopRequests
  private let verbosity: Verbosity?

  /// Checks what all categories have in common. Collective.
  /// - Parameter stop: asked after every step, and while images are read and scored.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  public init(
    _ configuration: TrainingConfiguration, over job: any JobCommunicator, stop: StopRequests = StopRequests(),
    _ verbosity: Verbosity? = nil
  ) throws {
    try configuration.requireSame(over: job)
    let ranks = min(configuration.ranksPerCategory ?? job.size, job.size)
    _ = try job.agree { try ShardTree(shards: configuration.logicalShards, ranks: ranks) }
    self.configuration = configuration
    self.job = job
    ranksPerCategory = ranks
    categories = try configuration.categoryNames(over: job)
    teacher = try configuration.readTeacher(over: job)
    placement = try Placement(job)
    self.stop = stop
    self.verbosity = verbosity
  }

  /// Trains all categories. Collective.
  /// - Throws: on all ranks the same `Failure` when all has been done that could be; where only some ranks can throw, it says so on those,
  ///   and the job must be aborted.
  public func run() throws {
    let packed = try PackedJob(tasks: categories.count, ranksPerGroup: ranksPerCategory, over: job)
    let console = Console(rank: job.rank, verbosity)
    console.say(
      "\(categories.count) categories, \(packed.groupCount) groups of ranks: " + categories.joined(separator: ", "))
    let tree = try ShardTree(shards: configuration.logicalShards, ranks: packed.group.size)
    try PlacementTable(
      placement, threads: configuration.threads ?? placement.threads, areGiven: configuration.threads != nil,
      shards: tree.shards(of: packed.group.rank), over: job
    ).show(on: console)
    var outcomes: [CategoryOutcome] = []
    try packed.forEachTask {
      outcomes.append(try train(categories[$0], by: packed))
    } whileWaiting: {
      // A signal that only this rank gets is meant for the others too.
      try stop.shared(in: packed).passOn()
    }

    let summary = PackingSummary(
      categories, outcomes: try job.allGather(coded: packed.group.rank == 0 ? outcomes : []), path: path)
    try job.agree {
      guard job.rank == 0 else { return }
      summary.table.forEach(console.say)
      try makeFolder(configuration.output)
      try writeFile(path, bytes: summary.json())
    }
    if let failure = summary.failure { throw failure }
  }

  private var path: String { "\(configuration.output)/summary.json" }

  /// Trains a category with the ranks of this group, which say so if that fails.
  private func train(_ category: String, by packed: PackedJob) throws -> CategoryOutcome {
    let console = Console(rank: packed.group.rank, topic: category, verbosity)
    let began = ContinuousClock.now
    var outcome = CategoryOutcome(category)
    do {
      try train(configuration.ofCategory(category), by: packed, console: console, outcome: &outcome)
    } catch {
      let failure = error as? Failure ?? Failure(.internalError, "\(error)")
      guard failure.isOnAllRanks || packed.group.size == 1, failure.code != .communication else { throw error }
      outcome.note(failure)
      failure.code == .stoppedResumable ? console.say("stopped: \(failure)") : console.error("\(failure)")
    }
    outcome.minutes = ((ContinuousClock.now - began).seconds / 0.06).rounded() / 1000
    outcome.ended = Date()
    return outcome
  }

  private func train(
    _ configuration: TrainingConfiguration, by packed: PackedJob, console: Console, outcome: inout CategoryOutcome
  ) throws {
    let start = try RunStart(configuration, over: packed.group, console: console, teacher: teacher)
    outcome.note(losses: start.losses)
    guard !start.isComplete else {
      outcome.result = .alreadyDone
      return console.say("already done")
    }
    let trainer = try Trainer(start, placement: placement, stop: stop.shared(in: packed))
    defer { outcome.note(losses: trainer.losses) }
    try trainer.train()
  }
}
