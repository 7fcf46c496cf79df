import Collectives
import Diagnostics
import Network
import Numerics
import Testing

@Suite struct ComparedArithmeticTests {
  /// What each rank's comparison ends in.
  private func failures(_ engines: [EngineKind]) throws -> [Failure?] {
    try LocalCommunicator.run(size: engines.count) { communicator in
      try engines[communicator.rank].with(threads: communicator.rank + 1) { engine in
        do {
          try compareArithmetic(engine, over: communicator)
          return nil
        } catch {
          return error as? Failure
        }
      }
    }
  }

  @Test(arguments: EngineKind.allCases)
  func ranksThatComputeAlikeGoOn(kind: EngineKind) throws {
    #expect(try failures([kind, kind, kind]).allSatisfy { $0 == nil })
  }

  @Test(arguments: [EngineKind.vectorInBF16, .openBLAS])
  func ranksThatComputeDifferentlyAllFail(kind: EngineKind) throws {
    for failure in try failures([.vector, kind, .vector]) {
      #expect(failure?.code == .badData)
      for part in ["the ranks differ in how their processors compute", ": ranks 0, 2 on ", ": rank 1 on "] {
        #expect(failure?.message.contains(part) == true, "\(part)")
      }
    }
  }
}
