import Testing

@testable import Collectives

@Suite struct LaunchEnvironmentTests {
  @Test func withoutALauncherThereIsOneRank() {
    let launch = LaunchEnvironment(["PATH": "/bin"])
    #expect(!launch.hasLauncher && launch.rank == 0 && launch.size == 1 && launch.tasksWithoutMPI == nil)
  }

  @Test func readsWhatLaunchersSet() {
    let openMPI = LaunchEnvironment([
      "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8", "PMIX_RANK": "3", "SLURM_STEP_NUM_TASKS": "2",
    ])
    #expect(openMPI.hasLauncher && openMPI.rank == 3 && openMPI.size == 8)
    let slurm = LaunchEnvironment(["PMIX_RANK": "1", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "4"])
    #expect(slurm.hasLauncher && slurm.rank == 1 && slurm.size == 4 && slurm.tasksWithoutMPI == nil)
    let pmi = LaunchEnvironment(["PMI_RANK": "2", "PMI_SIZE": "3"])
    #expect(pmi.hasLauncher && pmi.rank == 2 && pmi.size == 3)
    let unknownSize = LaunchEnvironment(["PMIX_RANK": "5"])
    #expect(unknownSize.hasLauncher && unknownSize.rank == 5 && unknownSize.size == nil)
  }

  @Test func tasksOfSlurmWithoutMPIAreNoticed() {
    let task = LaunchEnvironment(["SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4"])
    #expect(!task.hasLauncher && task.rank == 2 && task.tasksWithoutMPI == 4)
    let batchScript = LaunchEnvironment(["SLURM_PROCID": "0", "SLURM_NTASKS": "4"])
    #expect(!batchScript.hasLauncher && batchScript.rank == 0 && batchScript.tasksWithoutMPI == nil)
  }

  @Test(arguments: [
    (["OMPI_MCA_rmaps_base_oversubscribe": "1"], ""), (["SLURM_OVERCOMMIT": "1"], ""),
    (["PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"], ""), ([:], "mpirun --oversubscribe -n 8 rd-train"),
    ([:], "prterun --map-by slot:PE=2,OVERSUBSCRIBE -n 8 rd-train"),
  ])
  func oversubscriptionIsAllowed(environment: [String: String], launcher: String) {
    #expect(
      LaunchEnvironment.allowsOversubscription(
        environment, launcher: launcher.split(separator: " ").map(String.init)))
  }

  @Test(arguments: [
    (["OMPI_MCA_rmaps_base_oversubscribe": "0"], ""), ([:], "mpirun --map-by slot:NOOVERSUBSCRIBE rd-train"),
    ([:], "mpirun rd-train --output oversubscribe"), ([:], "bash"),
  ])
  func oversubscriptionIsNotAllowed(environment: [String: String], launcher: String) {
    #expect(
      !LaunchEnvironment.allowsOversubscription(
        environment, launcher: launcher.split(separator: " ").map(String.init)))
  }

  @Test func theHostHasAName() {
    #expect(!LaunchEnvironment.hostName.isEmpty && !LaunchEnvironment.hostName.contains("\0"))
  }
}
