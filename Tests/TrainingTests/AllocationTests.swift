import TestSupport
import Testing

/// What training steps ask of the system once all is built, in a process that counts that.
@Suite struct AllocationTests {
  /// Swift puts a closure that other threads call into a box of 32 bytes; nothing else is allocated, not even a small array, and no thread started.
  @Test(arguments: [
    ["vector", "fp32", "resnet18"], ["vector", "bf16", "resnet50"], ["openblas", "fp32", "resnet18"],
  ])
  func stepsAllocateNothingButBoxesAndStartNoThreads(arguments: [String]) throws {
    let outcome = try ToolProcess.run("training-probe", ["allocations"] + arguments)
    try #require(outcome.code == 0, "\(outcome.errors)")
    let counts = outcome.output.split { $0.isWhitespace }.compactMap { Int($0) }
    try #require(counts.count == 3)
    Measured.note("small allocations in two steps, \(arguments)", Double(counts[0]))
    #expect(counts[1] == 0, "\(outcome.errors)")
    #expect(counts[2] == 0)
  }
}
