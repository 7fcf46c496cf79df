import Synchronization

/// What a queue is: how many tasks have been taken, and whether more may be. For any thread.
final class WorkCounter: Sendable {
  private struct State {
    var next = 0
    var isStopped = false
  }

  private let count: Int
  private let state = Mutex(State())

  init(count: Int) { self.count = count }

  func take() -> Int? {
    state.withLock { state in
      guard !state.isStopped, state.next < count else { return nil }
      defer { state.next += 1 }
      return state.next
    }
  }

  func stop() { state.withLock { $0.isStopped = true } }

  var isStopped: Bool { state.withLock { $0.isStopped } }
}
