import Foundation

/// One rank of a job whose other ranks do not exist: it hears what it says itself, and no gradients but its own. So one process can rehearse the steps of any job.
public final class EchoCommunicator: Communicator {
  public let rank: Int
  public let size: Int

  public init(rank: Int, of size: Int) {
    precondition(0..<size ~= rank)
    self.rank = rank
    self.size = size
  }

  public func barrier() {}

  public func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) {}

  /// Every rank's part is this rank's, cut or repeated to its length.
  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts: [Int]
  ) {
    guard let receive = receive.baseAddress, let own = send.baseAddress, send.count > 0 else { return }
    var place = receive
    for count in counts {
      for start in stride(from: 0, to: count, by: send.count) where place + start != own {
        (place + start).copyMemory(from: own, byteCount: min(send.count, count - start))
      }
      place += count
    }
  }

  /// What the others would send is zero.
  public func allToAll(
    _ send: UnsafeRawBufferPointer, sendRanges: [Range<Int>],
    into receive: UnsafeMutableRawBufferPointer, receiveRanges: [Range<Int>]
  ) {
    for (source, range) in receiveRanges.enumerated() {
      let place = UnsafeMutableRawBufferPointer(rebasing: receive[range])
      if source == rank {
        place.copyMemory(from: UnsafeRawBufferPointer(rebasing: send[sendRanges[rank]]))
      } else {
        place.initializeMemory(as: UInt8.self, repeating: 0)
      }
    }
  }

  public func watch(stallTimeout: Duration?) {}

  public func enter(step: Int) {}

  public func finish() {}

  public func abort(_ code: Int32) -> Never { exit(code) }
}
