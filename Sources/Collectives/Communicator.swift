/// The ranks of a job, as seen from one of them.
///
/// Every method but ``abort(_:)`` is collective: all ranks call it, in the same order. Two implementations exist: `MPICommunicator`,
/// and `LocalCommunicator`, which runs the ranks as threads of one process.
public protocol Communicator: AnyObject, Sendable {
  /// This rank, `0 ..< size`.
  var rank: Int { get }
  /// How many ranks there are.
  var size: Int { get }

  func barrier() throws

  /// Copies `root`'s bytes to every rank. The buffer has the same size everywhere.
  func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws

  /// Gives every rank the concatenation, in rank order, of what each rank sends.
  /// - Parameters:
  ///   - send: this rank's part; it has `counts[rank]` bytes.
  ///   - receive: room for the sum of `counts` bytes.
  ///   - counts: how many bytes each rank sends; the same on every rank.
  func allGather(_ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts: [Int]) throws

  /// Sends `sendCounts[r]` bytes to every rank `r`, from consecutive places of `send`, and receives `receiveCounts[r]` bytes from it into
  /// consecutive places of `receive`.
  func allToAll(
    _ send: UnsafeRawBufferPointer, sendCounts: [Int],
    into receive: UnsafeMutableRawBufferPointer, receiveCounts: [Int]) throws

  /// Ends the job on all ranks with this exit code. Not collective.
  func abort(_ code: Int32) -> Never
}
