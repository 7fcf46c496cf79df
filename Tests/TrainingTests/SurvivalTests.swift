import Diagnostics
import Testing

@testable import Training

@Suite struct SurvivalTests {
  /// What fails on the way may be missed; a defect may not, nor what other ranks do not know of.
  @Test func aDefectEndsTheRun() {
    let fatal = [ExitCode.internalError, .noMemory, .communication, .stoppedResumable]
    for (codes, isSurvivable) in [([.inputOutput, .badData], true), (fatal, false)] as [([ExitCode], Bool)] {
      for code in codes {
        #expect(Failure(code, "it", isOnAllRanks: true).isSurvivable == isSurvivable, "\(code)")
        #expect(!Failure(code, "it").isSurvivable, "\(code)")
      }
    }
    #expect(Failure.notFinite("it", isOnAllRanks: true).isSurvivable && !Failure.notFinite("it").isSurvivable)
  }
}
