import Foundation
import Testing

@testable import Collectives

/// Who observes a communicator keeps nothing from it.
@Suite struct ForwardingTests {
  @Test func theBaseIsTold() throws {
    for decorate in [{ TimedCommunicator($0) }, { CountingCommunicator($0) }]
      as [(any Communicator) -> any Communicator]
    {
      let base = NotingCommunicator()
      let communicator = decorate(base)
      try communicator.watch(stallTimeout: .seconds(7))
      communicator.enter(step: 3)
      try communicator.finish()
      #expect(base.calls == ["watch \(Duration.seconds(7))", "enter 3", "finish"])
    }
  }
}

/// A single rank that notes what is not an exchange.
private final class NotingCommunicator: Communicator, @unchecked Sendable {
  private(set) var calls: [String] = []

  var rank: Int { 0 }
  var size: Int { 1 }

  func barrier() {}

  func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) {}

  func allGather(_ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts: [Int]) {}

  func allToAll(
    _ send: UnsafeRawBufferPointer, sendRanges: [Range<Int>],
    into receive: UnsafeMutableRawBufferPointer, receiveRanges: [Range<Int>]
  ) {}

  func watch(stallTimeout: Duration?) { calls.append("watch \(stallTimeout ?? .zero)") }

  func enter(step: Int) { calls.append("enter \(step)") }

  func finish() { calls.append("finish") }

  func abort(_ code: Int32) -> Never { exit(code) }
}
