import Diagnostics
import Foundation
import Testing
import collectives_probe

@testable import Collectives

@Suite struct LocalCommunicatorTests {
  private struct Broken: Error, Equatable {}

  @Test(arguments: 1...8)
  func exchangesArriveWhole(size: Int) throws {
    let lines = try LocalCommunicator.run(size: size) { try Scenario.exchanges.run(on: $0) }
    #expect(lines == Array(repeating: ["\(size) ranks exchanged"], count: size))
  }

  @Test(arguments: 1...5)
  func groupsWorkSideBySide(size: Int) throws {
    let alone = try Scenario.groups.run(on: LocalCommunicator())
    let lines = try LocalCommunicator.run(size: size) { try Scenario.groups.run(on: $0) }
    #expect(lines == Array(repeating: alone, count: size))
  }

  @Test(arguments: [1, 2, 5])
  func ranksShareAQueue(size: Int) throws {
    let lines = try LocalCommunicator.run(size: size) { try Scenario.queue.run(on: $0) }
    #expect(lines == Array(repeating: ["\(size) ranks shared the work"], count: size))
  }

  @Test func aGroupNamesItsRanksAsTheJobDoes() throws {
    let messages = try LocalCommunicator.run(size: 4) { communicator in
      do {
        _ = try Scenario.groupFailure.run(on: communicator)
        return ""
      } catch let failure as Failure {
        return failure.message
      }
    }
    let host = LaunchEnvironment.hostName
    let expected = [1, 1, 3, 3].map { "rank \($0) (\(host)): bad.png: not an image" }
    #expect(messages == expected)
  }

  @Test func anErrorReleasesTheRanksOfItsGroup() {
    #expect(throws: Broken()) {
      try LocalCommunicator.run(size: 4) { communicator in
        let group = try communicator.split(communicator.rank % 2)
        if communicator.rank == 2 { throw Broken() }
        if communicator.rank == 0 { try group.barrier() }
      }
    }
  }

  @Test func returnsWhatTheRanksReturnByRank() throws {
    #expect(try LocalCommunicator.run(size: 5) { $0.rank * 10 + $0.size } == [5, 15, 25, 35, 45])
  }

  @Test func theOnlyRankExchangesWithItself() throws {
    #expect(try Scenario.exchanges.run(on: LocalCommunicator()) == ["1 ranks exchanged"])
  }

  @Test(arguments: 0..<4)
  func anErrorReleasesTheOthersAndIsTheOneThrown(failing: Int) throws {
    let released = Released()
    #expect(throws: Broken()) {
      try LocalCommunicator.run(size: 4) { communicator in
        try communicator.barrier()
        if communicator.rank == failing { throw Broken() }
        do {
          try communicator.broadcast(UnsafeMutableRawBufferPointer(start: nil, count: 0), from: 0)
        } catch let failure as Failure where failure.code == .communication {
          released.insert(communicator.rank)
          throw failure
        }
      }
    }
    #expect(released.ranks == Set(0..<4).subtracting([failing]))
  }

  @Test func aRankThatReturnsReleasesTheOthers() {
    #expect {
      try LocalCommunicator.run(size: 3) { if $0.rank > 0 { try $0.barrier() } }
    } throws: {
      ($0 as? Failure)?.code == .communication
    }
  }

  @Test func exchangesThatDoNotMatchAreErrors() {
    func fails(_ body: @escaping @Sendable (LocalCommunicator) throws -> Void) {
      #expect { try LocalCommunicator.run(size: 2, body) } throws: { ($0 as? Failure)?.code == .communication }
    }
    fails { communicator in
      var bytes = [UInt8](repeating: 0, count: 3 + communicator.rank)
      try bytes.withUnsafeMutableBytes { try communicator.broadcast($0, from: 0) }
    }
    fails { communicator in
      let bytes = [UInt8](repeating: 0, count: 8)
      var received = bytes
      try bytes.withUnsafeBytes { send in
        try received.withUnsafeMutableBytes {
          try communicator.allToAll(send, sendCounts: [4, 4], into: $0, receiveCounts: [4, 3])
        }
      }
    }
  }
}

/// The ranks that were released, noted by their threads.
private final class Released: @unchecked Sendable {
  private let lock = NSLock()
  private var noted: Set<Int> = []

  var ranks: Set<Int> { lock.withLock { noted } }

  func insert(_ rank: Int) {
    lock.withLock { _ = noted.insert(rank) }
  }
}
