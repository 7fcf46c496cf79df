// A rank of a job for the tests of Collectives: `mpirun -n W collectives-probe SCENARIO`.
import Collectives
import Diagnostics
import Foundation

// Standard output is a pipe under mpirun, and a job that is aborted does not flush it.
func say(_ text: String) {
  FileHandle.standardOutput.write(Data((text + "\n").utf8))
}

let name = CommandLine.arguments.dropFirst().first ?? ""
do {
  // The limit makes every longer transfer go in rounds.
  let communicator = try MPICommunicator.start(messageLimit: name == "exchanges" ? 1000 : 1 << 30)
  if name == "abort" {
    if communicator.rank == communicator.size - 1 { communicator.abort(ExitCode.communication.rawValue) }
    try communicator.barrier()
  }
  // The last rank works, or does nothing, for longer than the others are told to wait.
  if name == "busy" || name.hasPrefix("idle") {
    try communicator.watch(stallTimeout: .seconds(1))
    communicator.enter(step: 7)
    if communicator.rank == communicator.size - 1 {
      let end = ContinuousClock.now + .seconds(4)
      while ContinuousClock.now < end { if name != "busy" { Thread.sleep(forTimeInterval: 4) } }
    }
    switch name {
    case "idle before a split": _ = try communicator.split(0)
    case "idle before a queue": _ = try communicator.makeQueue(count: 1)
    default: try communicator.barrier()
    }
    try communicator.finish()
    exit(0)
  }
  guard let scenario = Scenario(rawValue: name) else {
    say("no such scenario: \(name)")
    communicator.abort(ExitCode.usage.rawValue)
  }
  do {
    let lines = try scenario.run(on: communicator)
    if communicator.rank == 0 { lines.forEach(say) }
    try communicator.finish()
  } catch let failure as Failure where failure.code != .communication {
    if communicator.rank == 0 { say("\(failure)") }
    try communicator.finish()
    exit(failure.code.rawValue)
  }
} catch {
  say("\(error)")
  exit((error as? Failure)?.code.rawValue ?? ExitCode.internalError.rawValue)
}
