import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Training

@Suite struct EventLogTests {
  private static func event(_ step: Int) -> StepEvent {
    StepEvent(
      step: step, epoch: 1, loss: 0.5, imagesPerSecond: 1, computeSeconds: 1, communicationSeconds: 0, inputSeconds: 0)
  }

  private static func steps(_ path: String) throws -> [Int] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(StepEvent.self, from: Data($0.utf8)).step
    }
  }

  @Test func whatALaterLifeDoesAgainIsDropped() throws {
    let folder = try TemporaryFolder()
    let path = folder("log.jsonl")
    let first = try EventLog(path, after: 0) { Issue.record("\($0)") }
    for step in 1...5 { try first.append(Self.event(step)) }
    // As a crash may cut a line off.
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"step\":6,".utf8))
    let second = try EventLog(path, after: 3) { Issue.record("\($0)") }
    try second.append(Self.event(4))
    #expect(try Self.steps(path) == [1, 2, 3, 4])
  }

  /// Lines that find no room are said once, and are there when there is some.
  @Test(.enabled(if: SmallDisk.isPossible, "only root can mount a small file system"))
  func linesWaitForTheDisk() throws {
    let disk = try SmallDisk(kilobytes: 64)
    let path = disk("log.jsonl")
    var warnings: [String] = []
    let log = try EventLog(path, after: 0) { warnings.append($0) }
    try disk.fill("ballast")
    for step in 1...100 { try log.append(Self.event(step)) }
    #expect(warnings.count == 1 && warnings[0].contains("log.jsonl: cannot be written: No space left on device"))
    #expect(throws: Failure.self) { try log.finish() }
    try FileManager.default.removeItem(atPath: disk("ballast"))
    try log.append(Self.event(101))
    #expect(try Self.steps(path) == Array(1...101))
    try disk.fill("ballast")
    for step in 102...300 { try log.append(Self.event(step)) }
    #expect(warnings.count == 2)
    try FileManager.default.removeItem(atPath: disk("ballast"))
    try log.finish()
    #expect(try Self.steps(path) == Array(1...300))
  }
}
