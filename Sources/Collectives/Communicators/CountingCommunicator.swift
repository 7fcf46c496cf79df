/// What a rank sends and receives in one collective call.
public struct Exchange: Sendable, Equatable {
  public enum Kind: Sendable { case allGather, allToAll }

  public let kind: Kind
  /// Bytes for other ranks. Of an all-gather these are this rank's own, once for each of the others, whoever passes them on.
  public let sent: Int
  /// Bytes of other ranks.
  public let received: Int
}

/// A communicator that notes what its rank exchanges with others.
public final class CountingCommunicator: Communicator, @unchecked Sendable {
  private let base: any Communicator
  /// The calls so far that move data between ranks, but for broadcasts, of which a step has none. The rule of one thread at a time protects it.
  public private(set) var exchanges: [Exchange] = []

  public init(_ base: any Communicator) { self.base = base }

  public var rank: Int { base.rank }
  public var size: Int { base.size }
  public var rankInJob: Int { base.rankInJob }

  public func barrier() throws { try base.barrier() }

  public func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try base.broadcast(buffer, from: root)
  }

  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws {
    try base.allGather(send, into: receive, counts: counts)
    note(.allGather, sent: send.count * (size - 1), received: counts.reduce(0, +) - counts[rank])
  }

  public func allToAll(
    _ send: UnsafeRawBufferPointer, sendRanges: [Range<Int>],
    into receive: UnsafeMutableRawBufferPointer, receiveRanges: [Range<Int>]
  ) throws {
    try base.allToAll(send, sendRanges: sendRanges, into: receive, receiveRanges: receiveRanges)
    func bytes(_ ranges: [Range<Int>]) -> Int { ranges.reduce(0) { $0 + $1.count } - ranges[rank].count }
    note(.allToAll, sent: bytes(sendRanges), received: bytes(receiveRanges))
  }

  public func watch(stallTimeout: Duration?) throws { try base.watch(stallTimeout: stallTimeout) }

  public func enter(step: Int) { base.enter(step: step) }

  public func finish() throws { try base.finish() }

  public func abort(_ code: Int32) -> Never { base.abort(code) }

  private func note(_ kind: Exchange.Kind, sent: Int, received: Int) {
    if sent + received > 0 { exchanges.append(Exchange(kind: kind, sent: sent, received: received)) }
  }
}
