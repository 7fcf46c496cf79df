import ArgumentParser
import CMalloc
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
    sayAsError("\(tool): rank \(communicator.rank) (\(LaunchEnvironment.hostName)): \(failure)")
    communicator.abort(failure.code.rawValue)
  }
}

/// Parses the command line and runs a tool; ends the process with a sysexits code. What goes wrong on all ranks is said by rank 0.
public func runCommand<Command: ParsableCommand>(_: Command.Type, named tool: String) {
  // Tensors that were read and brought into another form go back to the system; glibc would otherwise come to keep ever larger ones.
  mallopt(M_MMAP_THRESHOLD, 1 << 20)
  // What is opened next would otherwise take the place of a closed standard stream.
  while case let file = open("/dev/null", O_RDWR), file >= 0 {
    guard file <= STDERR_FILENO else {
      close(file)
      break
    }
  }
  // A file that may not grow further, and a pipe that nobody reads any more, are then errors in writing; mpirun gives its ranks the signals'
  // defaults.
  for number in [SIGXFSZ, SIGPIPE] { signal(number, SIG_IGN) }
  do {
    var command = try Command.parseAsRoot()
    try command.run()
  } catch {
    let failure = error as? Failure
    let code = failure?.code.rawValue ?? Command.exitCode(for: error).rawValue
    let launch = LaunchEnvironment.current
    if launch.rank > 0 {
      // Where all ranks fail alike, rank 0 says so for all: mpirun ends the others, within two seconds, as soon as one has ended with an error.
      // Other launchers may not, so of each host one rank speaks.
      let maySpeak = code != 0 && failure?.isOnAllRanks != true && (launch.isByMPIRun || launch.isFirstOnHost)
      if code != 0 { Thread.sleep(forTimeInterval: maySpeak ? 3 : 1) }
      guard maySpeak else { exit(code) }
    }
    guard let failure else { Command.exit(withError: error) }
    sayAsError("\(tool): \(launch.rank > 0 ? "rank \(launch.rank) (\(LaunchEnvironment.hostName)): " : "")\(failure)")
    exit(code)
  }
}
