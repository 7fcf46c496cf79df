import Collectives
import Diagnostics
import TestSupport
import Testing
import collectives_probe

/// The same scenarios as real jobs: each test starts `mpirun`.
@Suite(.serialized) struct MPITests {
  private static let jobSizes = [1, 2, 3, 4, 8]

  @Test(arguments: jobSizes)
  func sumsHaveTheBitsOfTheLocalCommunicator(ranks: Int) throws {
    let expected = try LocalCommunicator.run(size: ranks) { try Scenario.reductions.run(on: $0) }[0]
    let oneRank = try Scenario.reductions.run(on: LocalCommunicator())
    let job = try mpirun(ranks, Scenario.reductions.rawValue)
    #expect(job.status == 0)
    #expect(job.lines == expected)
    #expect(job.lines == oneRank)
  }

  @Test(arguments: jobSizes)
  func exchangesArriveWholeInManyRounds(ranks: Int) throws {
    let job = try mpirun(ranks, Scenario.exchanges.rawValue)
    #expect(job.status == 0)
    #expect(job.lines == ["\(ranks) ranks exchanged"])
  }

  @Test func oneRanksErrorEndsTheJobOnAllNamedOnce() throws {
    let job = try mpirun(4, Scenario.failure.rawValue)
    #expect(job.status == ExitCode.badData.rawValue)
    #expect(
      job.lines == ["rank 3 (\(LaunchEnvironment.hostName)): bad.png: not an image", "  hint: remove it"])
  }

  @Test func ranksThatDifferAreNamed() throws {
    let job = try mpirun(3, Scenario.comparison.rawValue)
    #expect(job.status == ExitCode.badData.rawValue)
    #expect(job.lines.prefix(1) == ["the ranks differ in their versions"])
    #expect(job.lines.contains("  1.1: rank 2 on \(LaunchEnvironment.hostName)"))
  }

  @Test(arguments: [1, 3, 4])
  func groupsWorkSideBySide(ranks: Int) throws {
    let expected = try LocalCommunicator.run(size: ranks) { try Scenario.groups.run(on: $0) }[0]
    let job = try mpirun(ranks, Scenario.groups.rawValue)
    #expect(job.status == 0)
    #expect(job.lines == expected)
  }

  @Test(arguments: [1, 2, 4])
  func ranksShareAQueue(ranks: Int) throws {
    let job = try mpirun(ranks, Scenario.queue.rawValue)
    #expect(job.status == 0)
    #expect(job.lines == ["\(ranks) ranks shared the work"])
  }

  @Test func abortEndsWaitingRanks() throws {
    #expect(try mpirun(4, "abort").status == ExitCode.communication.rawValue)
  }

  @Test func aBusyRankIsWaitedFor() throws {
    let job = try mpirun(3, "busy")
    // Open MPI 5 may speak of interfaces that it does not need.
    #expect(job.status == 0 && !job.errors.contains("collectives-probe: "), "\(job.errors)")
  }

  @Test(arguments: [
    ("idle", "MPI_Barrier"), ("idle before a split", "MPI_Comm_split"), ("idle before a queue", "MPI_Comm_dup"),
  ])
  func aRankThatDoesNothingIsNamed(scenario: String, call: String) throws {
    let job = try mpirun(3, scenario)
    #expect(job.status == ExitCode.communication.rawValue)
    let (own, other) = ("rank 0 on host", "rank 2 on host \(LaunchEnvironment.hostName) (process ")
    #expect(job.errors.components(separatedBy: "collectives-probe: step 7: \(own) ").count == 2, "\(job.errors)")
    #expect(job.errors.contains("in \(call), collective call "), "\(job.errors)")
    #expect(job.errors.components(separatedBy: "\n  \(other)").count == 2, "\(job.errors)")
    #expect(job.errors.contains("which has used no processor time for"), "\(job.errors)")
  }

  @Test func withoutMpirunTheProbeIsAJobOfOneRank() throws {
    let job = try run(Scenario.exchanges.rawValue)
    #expect(job.status == 0)
    #expect(job.lines == ["1 ranks exchanged"])
  }

  @Test func tasksOfSlurmWithoutMPIAreRefused() throws {
    let job = try run(
      Scenario.exchanges.rawValue, environment: ["SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"])
    #expect(job.status == ExitCode.communication.rawValue)
    #expect(job.lines.first?.contains("srun started 2 tasks without MPI") == true)
  }

  /// As when the mpirun of one MPI library starts a program of another.
  @Test func ranksThatMPIDoesNotSeeAreNoticed() throws {
    let job = try run(Scenario.exchanges.rawValue, environment: ["OMPI_COMM_WORLD_SIZE": "2"])
    #expect(job.status == ExitCode.communication.rawValue)
    #expect(job.lines.first?.contains("the launcher started 2 ranks, but MPI sees 1") == true)
  }

  private struct Job {
    var status: Int32
    /// What it wrote to standard output.
    var lines: [String]
    var errors: String
  }

  private func mpirun(_ ranks: Int, _ scenario: String) throws -> Job { try run(scenario, ranks: ranks) }

  private func run(_ scenario: String, ranks: Int? = nil, environment: [String: String] = [:]) throws -> Job {
    let outcome = try ToolProcess.run("collectives-probe", [scenario], ranks: ranks, environment: environment)
    return Job(
      status: outcome.code, lines: outcome.output.split(whereSeparator: \.isNewline).map(String.init),
      errors: outcome.errors)
  }
}
