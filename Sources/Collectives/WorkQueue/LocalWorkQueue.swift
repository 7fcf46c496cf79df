/// The queue of ranks that are threads of one process.
final class LocalWorkQueue: WorkQueue {
  private let counter: WorkCounter
  private let communicator: LocalCommunicator

  init(_ counter: WorkCounter, of communicator: LocalCommunicator) {
    self.counter = counter
    self.communicator = communicator
  }

  func take() -> Int? { counter.take() }
  func stop() { counter.stop() }
  func isStopped() -> Bool { counter.isStopped }

  func finish(whileWaiting: () throws -> Void) throws {
    try whileWaiting()
    try communicator.barrier()
  }
}
