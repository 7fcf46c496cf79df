import Foundation

/// This process's rank as its launcher tells it in the environment, known before MPI starts; 0 without a launcher.
///
/// Open MPI comes first: a job script under Slurm has `SLURM_PROCID` 0 in the environment of every rank that its mpirun starts.
public let launchedRank: Int = {
  let environment = ProcessInfo.processInfo.environment
  let names = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"]
  return names.lazy.compactMap { environment[$0].flatMap { Int($0) } }.first ?? 0
}()
