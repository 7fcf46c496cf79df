/// All ranks of a job, which can be divided into groups that work side by side.
public protocol JobCommunicator: Communicator {
  /// Divides the ranks: those that give the same number become a group with a communicator of its own, in the order of their ranks.
  /// Collective.
  ///
  /// The calls of one group do not meet those of another, nor those of the whole job, which go on being possible.
  /// - Throws: `Failure(.communication)`.
  func split(_ group: Int) throws -> any Communicator

  /// A queue of the numbers `0 ..< count` for all ranks. Collective.
  /// - Throws: `Failure(.communication)`.
  func makeQueue(count: Int) throws -> any WorkQueue
}
