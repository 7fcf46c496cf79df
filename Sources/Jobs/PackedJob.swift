import Collectives
import Diagnostics

/// Works through numbered tasks with groups of a job's ranks: whichever group is free takes the next one from the queue that all share.
public final class PackedJob {
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
  public func forEachTask(_ body: (Int) throws -> Void) throws {
    while let task = try nextTask() { try body(task) }
    try queue.finish()
    try group.finish()
  }

  /// Lets no group take another task, and asks those that are at work to stop. For rank 0 of a group.
  public func stop() throws { try queue.stop() }

  /// Whether some group has called ``stop()``. For rank 0 of a group, which may ask in every step: it is cheap, and up to a second late.
  public func isStopWanted() throws -> Bool { try queue.isStopped() }

  private func nextTask() throws -> Int? {
    var task = group.rank == 0 ? try queue.take() ?? -1 : -1
    try withUnsafeMutableBytes(of: &task) { try group.broadcast($0, from: 0) }
    return task < 0 ? nil : task
  }
}
