import Collectives
import Diagnostics
import Foundation

/// Divides the ranks by twos, and lets the groups exchange and sum side by side.
/// - Returns: the sums, which are the same in every group.
func checkGroups(over communicator: any JobCommunicator) throws -> [String] {
  let number = communicator.rank / 2
  let group = try communicator.split(number)
  let size = min(2, communicator.size - 2 * number)
  guard group.size == size, group.rank == communicator.rank % 2, group.rankInJob == communicator.rank else {
    throw Failure(.internalError, "rank \(communicator.rank) is rank \(group.rank) of \(group.size) in its group")
  }
  try checkExchanges(over: group)
  let digest = try reductionDigest(shards: 13, over: group)
  // The whole job's calls remain possible.
  try communicator.compareAcrossRanks(digest, what: "the sums of their groups")
  try group.finish()
  return [digest]
}

/// All ranks empty a queue, and stop another.
func checkQueue(over communicator: any JobCommunicator) throws {
  let count = 12
  let queue = try communicator.makeQueue(count: count)
  let isBusy = communicator.rank == 0 && communicator.size > 1
  if isBusy { Thread.sleep(forTimeInterval: 0.5) }
  var taken: [Int] = []
  while let task = try queue.take() { taken.append(task) }
  let all = try communicator.allGather(values: taken)
  try communicator.agree {
    guard taken == taken.sorted(), all.sorted() == Array(0..<count) else {
      throw Failure(.internalError, "took \(taken) of \(all), which should be each task once")
    }
    if isBusy, !taken.isEmpty { throw Failure(.internalError, "the others waited for a rank that was busy") }
    if try queue.isStopped() { throw Failure(.internalError, "nobody stopped this queue") }
  }
  try queue.finish {}

  let stopped = try communicator.makeQueue(count: count)
  if communicator.rank == communicator.size - 1 {
    _ = try stopped.take()
    try stopped.stop()
  }
  while try !stopped.isStopped() { Thread.sleep(forTimeInterval: 0.01) }
  try communicator.agree {
    if let task = try stopped.take() { throw Failure(.internalError, "task \(task) of a stopped queue was taken") }
  }
  try stopped.finish {}
}
