import Foundation
import Testing

@testable import Collectives

@Suite struct WorkClockTests {
  /// What a barrier takes belongs to no lap, and everything else to one.
  @Test func lapsAndCommunicationAreAllOfTheTime() throws {
    let communicator = TimedCommunicator(SlowCommunicator())
    try communicator.barrier()
    var clock = WorkClock(communicator)
    try communicator.barrier()
    let first = clock.lap()
    let second = clock.lap()
    try communicator.barrier()
    let third = clock.lap()
    #expect(clock.communication >= SlowCommunicator.delay * 2)
    #expect(clock.communication < communicator.time)
    #expect([first, second, third].allSatisfy { $0 >= .zero })
    #expect(first + second + third + clock.communication == clock.elapsed)
  }
}

/// A single rank whose barrier takes a while.
private final class SlowCommunicator: Communicator {
  static let delay = Duration.milliseconds(20)

  var rank: Int { 0 }
  var size: Int { 1 }

  func barrier() { Thread.sleep(forTimeInterval: 0.02) }

  func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) {}

  func allGather(_ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts: [Int]) {}

  func allToAll(
    _ send: UnsafeRawBufferPointer, sendRanges: [Range<Int>],
    into receive: UnsafeMutableRawBufferPointer, receiveRanges: [Range<Int>]
  ) {}

  func watch(stallTimeout: Duration?) {}

  func enter(step: Int) {}

  func finish() {}

  func abort(_ code: Int32) -> Never { exit(code) }
}
