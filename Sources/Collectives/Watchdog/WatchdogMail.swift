import COpenMPI
import Diagnostics

/// The messages between the watchdogs of a communicator's ranks, on a communicator of their own. One thread uses it at a time.
///
/// Nothing here waits: a rank that is gone neither takes its messages nor sends any.
final class WatchdogMail {
  enum Kind: Int32 {
    /// Asks for the receiver's state.
    case question
    /// Tells the sender's state.
    case answer
    /// The job ends.
    case end
  }

  struct Message {
    var kind: Kind
    /// Tells the questions of a rank, and their answers, from its earlier ones.
    var inquiry = 0
    var state = RankState(position: CallPosition(number: 0), step: 0)
  }

  private typealias Words = UnsafeMutablePointer<Int64>
  private static let wordCount = 6

  private var communicator: MPI_Comm? = rd_comm_null()
  private let inbox = Words.allocate(capacity: wordCount)
  /// What is still on its way.
  private var outbox: [(words: Words, request: MPI_Request?)] = []

  /// Collective over `base`.
  init(beside base: MPI_Comm?) throws {
    guard MPI_Comm_dup(base, &communicator) == MPI_SUCCESS else {
      throw Failure(.communication, "MPI_Comm_dup failed: there is no communicator for watching the ranks")
    }
  }

  /// Sends a message as far as the receiver can be reached; where it cannot, nobody is told.
  func send(_ message: Message, to rank: Int) {
    let words = Words.allocate(capacity: Self.wordCount)
    let state = message.state
    let values = [
      message.inquiry, state.position.number, Int(state.position.call?.rawValue ?? 0), state.step,
      state.waiting.milliseconds, state.idle.milliseconds,
    ]
    for (index, value) in values.enumerated() { words[index] = Int64(value) }
    var request = rd_request_null()
    MPI_Isend(words, Int32(Self.wordCount * 8), rd_byte(), Int32(rank), message.kind.rawValue, communicator, &request)
    outbox.append((words, request))
  }

  /// The next message that has arrived, if there is one.
  func receive() -> (message: Message, sender: Int)? {
    advance()
    var hasArrived: Int32 = 0
    var status = MPI_Status()
    guard MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator, &hasArrived, &status) == MPI_SUCCESS, hasArrived != 0,
      MPI_Recv(
        inbox, Int32(Self.wordCount * 8), rd_byte(), status.MPI_SOURCE, status.MPI_TAG, communicator,
        rd_status_ignore())
        == MPI_SUCCESS,
      let kind = Kind(rawValue: status.MPI_TAG)
    else { return nil }
    let position = CallPosition(number: Int(inbox[1]), call: MPICall(rawValue: UInt8(inbox[2])))
    let state = RankState(
      position: position, step: Int(inbox[3]), waiting: .milliseconds(inbox[4]), idle: .milliseconds(inbox[5]))
    return (Message(kind: kind, inquiry: Int(inbox[0]), state: state), Int(status.MPI_SOURCE))
  }

  /// Moves what is on its way.
  func advance() {
    outbox.removeAll { words, request in
      var (request, isDone) = (request, Int32(0))
      guard MPI_Test(&request, &isDone, rd_status_ignore()) != MPI_SUCCESS || isDone != 0 else { return false }
      words.deallocate()
      return true
    }
  }

  /// Gives the communicator back. Collective; the last call. What is still on its way keeps its memory, which MPI may read.
  func close() {
    advance()
    inbox.deallocate()
    MPI_Comm_free(&communicator)
  }
}

extension Duration {
  fileprivate var milliseconds: Int {
    Int(components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000)
  }
}
