import Collectives
import Diagnostics
import Foundation

/// Runs a tool's work as one rank of a job, and ends the job as its failures demand: in order on all ranks where all have the failure,
/// otherwise by aborting the others, which may wait for this one.
/// - Throws: a failure that all ranks have, after the ranks have parted.
public func runJob(tool: String, over communicator: any Communicator, _ body: () throws -> Void) throws {
  do {
    try body()
    try communicator.finish()
  } catch {
    let failure = error as? Failure ?? Failure(.internalError, "\(error)")
    if failure.isOnAllRanks || communicator.size == 1 {
      try? communicator.finish()
      throw failure
    }
    // Where all ranks fail alike, rank 0 says so for all.
    if communicator.rank > 0 { Thread.sleep(forTimeInterval: 1) }
    FileHandle.standardError.write(Data("\(tool): rank \(communicator.rank) (\(LaunchEnvironment.hostName)): \(failure)\n".utf8))
    communicator.abort(failure.code.rawValue)
  }
}
