/// The ranks of a job, as seen from one of them.
///
/// Every method but ``abort(_:)`` and ``enter(step:)`` is collective: all ranks call it, in the same order, each from one thread at a time.
/// Two implementations connect ranks: ``MPICommunicator``, and ``LocalCommunicator``, which runs them as threads of one process;
/// ``EchoCommunicator`` rehearses, ``TimedCommunicator`` and ``CountingCommunicator`` observe another. All methods that throw throw a `Failure`
/// with the code `.communication`: the network, another rank or a launcher is at fault, and further collective calls are useless.
public protocol Communicator: AnyObject, Sendable {
  /// This rank, `0 ..< size`.
  var rank: Int { get }
  /// How many ranks there are.
  var size: Int { get }
  /// The number by which messages name this rank: `rank`, but in a group of a job's ranks that of the job.
  var rankInJob: Int { get }

  /// Returns when all ranks have called it.
  func barrier() throws

  /// Copies `root`'s bytes to every rank. The buffer has the same size everywhere.
  func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws

  /// Gives every rank the concatenation, in rank order, of what each rank sends.
  /// - Parameters:
  ///   - send: this rank's part; it has `counts[rank]` bytes. It may be this rank's place in `receive`: then nothing is copied locally.
  ///   - receive: room for the sum of `counts` bytes.
  ///   - counts: how many bytes each rank sends; the same on every rank.
  func allGather(_ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts: [Int]) throws

  /// Sends the bytes `sendRanges[r]` of `send` to every rank `r`, this one included, and receives what it sends here into
  /// `receiveRanges[r]` of `receive`.
  ///
  /// `send` and `receive` do not overlap, nor do the receive ranges. What a rank sends is as long as what the other expects.
  func allToAll(
    _ send: UnsafeRawBufferPointer, sendRanges: [Range<Int>],
    into receive: UnsafeMutableRawBufferPointer, receiveRanges: [Range<Int>]) throws

  /// Watches from now on, until ``finish()``, that every rank arrives in the collective calls: where one does not for longer than
  /// `stallTimeout`, the job ends, and what is said names that rank. A rank that computes is waited for. Collective.
  ///
  /// The longest timeout of all ranks holds; where some rank gives none, nobody watches. A second call changes nothing.
  func watch(stallTimeout: Duration?) throws

  /// Notes at which step of its work this rank is, for what ``watch(stallTimeout:)`` says. Not collective.
  func enter(step: Int)

  /// Ends this rank's part of the job, or of the group, in order: the last call on every rank.
  func finish() throws

  /// Ends the job on all ranks with this exit code. Not collective.
  func abort(_ code: Int32) -> Never
}

extension Communicator {
  public var rankInJob: Int { rank }
}

extension Communicator {
  /// Sends `sendCounts[r]` bytes to every rank `r`, from consecutive places of `send`, and receives `receiveCounts[r]` bytes from it into
  /// consecutive places of `receive`.
  public func allToAll(
    _ send: UnsafeRawBufferPointer, sendCounts: [Int],
    into receive: UnsafeMutableRawBufferPointer, receiveCounts: [Int]
  ) throws {
    try allToAll(
      send, sendRanges: consecutiveRanges(of: sendCounts), into: receive,
      receiveRanges: consecutiveRanges(of: receiveCounts))
  }

  /// Every rank's bytes, by rank. Their lengths may differ, and no rank needs to know another's.
  public func allGather(_ bytes: [UInt8]) throws -> [[UInt8]] {
    var lengths = [Int](repeating: 0, count: size)
    let wordSizes = [Int](repeating: MemoryLayout<Int>.size, count: size)
    try withUnsafeBytes(of: bytes.count) { send in
      try lengths.withUnsafeMutableBytes { try allGather(send, into: $0, counts: wordSizes) }
    }
    var all = [UInt8](repeating: 0, count: lengths.reduce(0, +))
    guard !all.isEmpty else { return lengths.map { _ in [] } }
    try bytes.withUnsafeBytes { send in
      try all.withUnsafeMutableBytes { try allGather(send, into: $0, counts: lengths) }
    }
    return consecutiveRanges(of: lengths).map { Array(all[$0]) }
  }
}

/// The ranges of these lengths that follow each other from 0.
func consecutiveRanges(of counts: [Int]) -> [Range<Int>] {
  var end = 0
  return counts.map { count in
    defer { end += count }
    return end..<end + count
  }
}
