import Diagnostics
import Testing
import collectives_probe

@testable import Collectives

@Suite struct AgreementTests {
  private struct Broken: Error {}

  /// What every rank's call of `agree` ends in.
  private func failures(
    size: Int, _ result: @escaping @Sendable (_ rank: Int) -> Result<Int, any Error>
  ) throws -> [Failure?] {
    try LocalCommunicator.run(size: size) { communicator in
      do {
        #expect(try communicator.agree(result(communicator.rank)) == communicator.rank)
        return nil
      } catch {
        return error as? Failure
      }
    }
  }

  @Test(arguments: [1, 2, 5])
  func allGoOnWhereNoneFails(size: Int) throws {
    #expect(try failures(size: size) { .success($0) }.allSatisfy { $0 == nil })
  }

  @Test func everyRankThrowsTheLowestFailingRanksFailure() throws {
    let failures = try failures(size: 5) { rank in
      rank < 2 ? .success(rank) : .failure(Failure(.inputOutput, "disk \(rank) is full", hint: "free it"))
    }
    #expect(failures.count == 5)
    for failure in failures {
      #expect(failure?.code == .inputOutput)
      #expect(failure?.message == "rank 2 (\(LaunchEnvironment.hostName)): disk 2 is full")
      #expect(failure?.hint == "free it")
    }
  }

  @Test func oneRankAloneIsNotNumbered() throws {
    let failure = try failures(size: 1) { _ in .failure(Failure(.badData, "bad.png: empty")) }[0]
    #expect(failure?.code == .badData)
    #expect(failure?.message == "bad.png: empty")
    #expect(failure?.hint == nil)
  }

  @Test(arguments: [1, 2])
  func otherErrorsAreInternal(size: Int) throws {
    let failures = try failures(size: size) { _ in .failure(Broken()) }
    #expect(failures.allSatisfy { $0?.code == .internalError && $0?.message.contains("Broken()") == true })
    #expect(failures.allSatisfy { $0?.isNotFinite == false })
  }

  @Test(arguments: [1, 2])
  func numbersThatAreNotFiniteAreToldFromDefects(size: Int) throws {
    let failures = try failures(size: size) { _ in .failure(Failure.notFinite("the score is nan")) }
    #expect(failures.allSatisfy { $0?.code == .internalError && $0?.isNotFinite == true })
  }

  /// The others may be waiting in the call that failed on this rank: asking them would hang.
  @Test func failedCommunicationIsThrownWithoutAsking() {
    #expect {
      try LocalCommunicator.run(size: 2) { communicator in
        guard communicator.rank == 0 else { return try communicator.barrier() }
        try communicator.agree { throw Failure(.communication, "the network is gone") }
      }
    } throws: {
      ($0 as? Failure)?.message == "the network is gone"
    }
  }

  @Test func comparisonNamesWhoDiffers() throws {
    let host = LaunchEnvironment.hostName
    let failures = try LocalCommunicator.run(size: 4) { communicator -> Failure? in
      do {
        try communicator.compareAcrossRanks("same", what: "nothing")
        try communicator.compareAcrossRanks(["a", "b", "", "a"][communicator.rank], what: "their data")
        return nil
      } catch {
        return error as? Failure
      }
    }
    for failure in failures {
      #expect(failure?.code == .badData)
      #expect(
        failure?.message == """
          the ranks differ in their data
            a: ranks 0, 3 on \(host)
            b: rank 1 on \(host)
            : rank 2 on \(host)
          """)
    }
  }
}
