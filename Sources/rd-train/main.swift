import Collectives
import Diagnostics
import Foundation
import Numerics

fitMatrixProductsToProcessor()
do {
  var command = try TrainingOptions.parseAsRoot()
  try command.run()
} catch {
  end(error)
}

/// Ends the process: the message on rank 0, the same exit code on every rank.
func end(_ error: any Error) -> Never {
  let failure = error as? Failure
  let code = failure?.code.rawValue ?? TrainingOptions.exitCode(for: error).rawValue
  guard LaunchEnvironment.current.rank == 0 else {
    // mpirun ends all ranks as soon as one ends with an error: rank 0 needs the time to say which.
    if code != 0 { Thread.sleep(forTimeInterval: 1) }
    exit(code)
  }
  guard let failure else { TrainingOptions.exit(withError: error) }
  FileHandle.standardError.write(Data("rd-train: \(failure)\n".utf8))
  exit(code)
}
