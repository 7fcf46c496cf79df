import Diagnostics
import Foundation

/// What the launcher (`mpirun`, `srun`) says about this process in its environment, before MPI is initialised.
public struct LaunchEnvironment: Sendable, Equatable {
  /// This process's rank; 0 where no launcher was used.
  public let rank: Int
  /// How many ranks the launcher started, where it says so; 1 where no launcher was used.
  public let size: Int?
  /// Whether a launcher that MPI can talk to started this process.
  public let hasLauncher: Bool
  /// Whether that was Open MPI's mpirun or one of its daemons.
  public let isByMPIRun: Bool
  /// Whether the launcher counts this process as the first on its host.
  public let isFirstOnHost: Bool
  /// When the scheduler ends the job, where it says so, as newer Slurms do.
  public let end: Date?
  /// How many tasks `srun` started without offering them MPI: they would be as many jobs of one rank.
  let tasksWithoutMPI: Int?

  /// The launch of this process.
  public static var current: LaunchEnvironment { LaunchEnvironment(ProcessInfo.processInfo.environment) }

  /// Reads the variables that Open MPI's `mpirun`, PMIx, PMI and Slurm set.
  public init(_ environment: [String: String]) {
    func number(_ names: String...) -> Int? { names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first }
    let taskCount = number("SLURM_STEP_NUM_TASKS")
    let rank = number("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")
    end = environment["SLURM_JOB_END_TIME"].flatMap { Double($0) }.map { Date(timeIntervalSince1970: $0) }
    isFirstOnHost = number("OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID") == 0
    isByMPIRun = environment["OMPI_COMM_WORLD_RANK"] != nil
    hasLauncher = rank != nil || environment["OMPI_COMM_WORLD_SIZE"] != nil
    if hasLauncher {
      self.rank = rank ?? 0
      size = number("OMPI_COMM_WORLD_SIZE", "PMI_SIZE") ?? taskCount
      tasksWithoutMPI = nil
    } else {
      // Slurm's batch script has a task number as well, which is 0, but is in no step.
      self.rank = number("SLURM_PROCID") ?? 0
      size = 1
      tasksWithoutMPI = taskCount.flatMap { $0 > 1 ? $0 : nil }
    }
  }

  /// The name of the machine that this process runs on.
  public static let hostName: String = {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "unknown host" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }()
}
