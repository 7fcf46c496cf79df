import Synchronization

/// A call of MPI's in which a rank waits for others: a collective one, or one of the queue that they share.
enum MPICall: UInt8, Sendable {
  case barrier = 1
  case broadcast, allGather, allToAll
  case split, duplicate
  case workQueue

  /// MPI's name for where the rank waits.
  var name: String {
    switch self {
    case .barrier: "MPI_Barrier"
    case .broadcast: "MPI_Bcast"
    case .allGather: "MPI_Allgatherv"
    case .allToAll: "MPI_Waitall"
    case .split: "MPI_Comm_split"
    case .duplicate: "MPI_Comm_dup"
    case .workQueue: "the queue of work"
    }
  }
}

/// Where a rank is in the sequence of collective calls, which is the same on all ranks.
struct CallPosition: Sendable, Equatable {
  /// How many calls the rank has begun.
  var number: Int
  /// The call that it is in; nil between calls.
  var call: MPICall?
}

/// Where a rank is in its work. One thread writes it, its watchdog reads it: two stores of a word are all that a call costs.
final class CallRecord: Sendable {
  /// The number of calls begun, times 256, plus the call that the rank is in.
  private let word = Atomic<UInt64>(0)
  private let currentStep = Atomic<Int>(0)

  var position: CallPosition {
    let word = word.load(ordering: .relaxed)
    return CallPosition(number: Int(word >> 8), call: MPICall(rawValue: UInt8(truncatingIfNeeded: word)))
  }

  /// The step of the rank's work, from 1; 0 before the first.
  var step: Int {
    get { currentStep.load(ordering: .relaxed) }
    set { currentStep.store(newValue, ordering: .relaxed) }
  }

  /// Runs `body` as the next collective call.
  func during<Value>(_ call: MPICall, _ body: () throws -> Value) rethrows -> Value {
    let number = (word.load(ordering: .relaxed) >> 8) + 1
    word.store(number << 8 | UInt64(call.rawValue), ordering: .relaxed)
    defer { word.store(number << 8, ordering: .relaxed) }
    return try body()
  }

  /// Runs `body` as a call that is none of the sequence, since not all ranks make it.
  func aside<Value>(_ call: MPICall, _ body: () throws -> Value) rethrows -> Value {
    let before = word.load(ordering: .relaxed)
    word.store(before & ~0xFF | UInt64(call.rawValue), ordering: .relaxed)
    defer { word.store(before, ordering: .relaxed) }
    return try body()
  }
}
