/// A communicator that measures how long its rank spends in collective calls, waiting for others included.
public final class TimedCommunicator: Communicator, @unchecked Sendable {
  private let base: any Communicator
  /// The time spent so far. The rule of one thread at a time protects it.
  public private(set) var time = Duration.zero
  /// Is told of every call when it ends: its name, and when it began.
  public var observer: ((_ call: String, _ start: ContinuousClock.Instant) -> Void)?

  public init(_ base: any Communicator) { self.base = base }

  public var rank: Int { base.rank }
  public var size: Int { base.size }
  public var rankInJob: Int { base.rankInJob }

  public func barrier() throws {
    try measured("barrier") { try base.barrier() }
  }

  public func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try measured("broadcast") { try base.broadcast(buffer, from: root) }
  }

  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws {
    try measured("all-gather") { try base.allGather(send, into: receive, counts: counts) }
  }

  public func allToAll(
    _ send: UnsafeRawBufferPointer, sendRanges: [Range<Int>],
    into receive: UnsafeMutableRawBufferPointer, receiveRanges: [Range<Int>]
  ) throws {
    try measured("all-to-all") {
      try base.allToAll(send, sendRanges: sendRanges, into: receive, receiveRanges: receiveRanges)
    }
  }

  public func watch(stallTimeout: Duration?) throws { try base.watch(stallTimeout: stallTimeout) }

  public func enter(step: Int) { base.enter(step: step) }

  public func finish() throws { try base.finish() }

  public func abort(_ code: Int32) -> Never { base.abort(code) }

  private func measured(_ call: String, _ body: () throws -> Void) throws {
    let start = ContinuousClock.now
    defer {
      time += ContinuousClock.now - start
      observer?(call, start)
    }
    try body()
  }
}
