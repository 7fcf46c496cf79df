import Collectives
import Diagnostics

/// Works through numbered tasks with groups of a job's ranks: whichever group is free takes the next one from the queue that all share.
public final class PackedJob: Sendable {
  /// The ranks that do this rank's tasks together; rank 0 of it speaks for them.
  public let group: any Communicator
  /// How many groups there are.
  public let groupCount: Int
  private let queue: any WorkQueue

  /// Collective.
  /// - Parameter ranksPerGroup: consecutive ranks make a group of so many; what is left over makes a smaller last one.
  /// - Throws: `Failure(.communication)`.
  public init(tasks: Int, ranksPerGroup: Int, over job: any JobCommunicator) throws {
    precondition(ranksPerGroup > 0)
    groupCount = (job.size + ranksPerGroup - 1) / ranksPerGroup
    group = try job.split(job.rank / ranksPerGroup)
    queue = try job.makeQueue(count: tasks)
  }

  /// Calls `body` for the tasks that this rank's group takes, on all of its ranks, and returns when all groups are done. Collective.
  ///
  /// A task that ends in a failure of all its ranks is one that the others do not depend on: `body` keeps such failures to itself. What it
  /// throws is thrown here at once, and the job must be aborted.
  /// - Parameter whileWaiting: called now and then on a rank whose group finds no more tasks, while other groups are at work.
  public func forEachTask(_ body: (Int) throws -> Void, whileWaiting: () throws -> Void = {}) throws {
    while let task = try nextTask() { try body(task) }
    try queue.finish(whileWaiting: whileWaiting)
    try group.finish()
  }

  /// Lets no group take another task, and asks those that are at work to stop. Any rank may call it. Not collective.
  public func stop() throws { try queue.stop() }

  /// Whether some rank has called ``stop()``, as rank 0 of this group knows up to a second later; other ranks do not know. It is cheap: a loop
  /// may ask in every turn. Not collective.
  public func isStopWanted() throws -> Bool { try group.rank == 0 && queue.isStopped() }

  private func nextTask() throws -> Int? {
    var task = group.rank == 0 ? try queue.take() ?? -1 : -1
    try withUnsafeMutableBytes(of: &task) { try group.broadcast($0, from: 0) }
    return task < 0 ? nil : task
  }
}
