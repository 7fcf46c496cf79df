import COpenMPI
import Diagnostics
import Foundation
import Synchronization

/// The queue of an MPI job: rank 0 has the counter, and a thread that answers the other ranks.
///
/// MPI's one-sided calls would need no such thread, but over TCP Open MPI 4 has none in a program whose threads communicate at the same time,
/// and those that it has otherwise wait until rank 0 communicates itself. The thread sleeps between two looks: MPI's own waiting would keep a
/// core busy.
final class MPIWorkQueue: WorkQueue, @unchecked Sendable {
  private enum Question: Int64 {
    case take, stop, isStopped
  }

  /// How long rank 0's thread sleeps, and a rank that waits for the others: the longest that a taking rank waits.
  private static let pause = 0.01
  /// The answer to ``Question/take`` where nothing is left.
  private static let nothing: Int64 = -1
  private static let questionTag: Int32 = 0
  private static let answerTag: Int32 = 1

  private var handle: MPI_Comm?
  private let communicator: MPICommunicator

  // Of rank 0.
  private let counter: WorkCounter
  private let isEnding = Atomic<Bool>(false)
  private let answering = DispatchGroup()

  // Of the others: a question whose answer is not there yet, with what MPI writes to meanwhile.
  private var requests: [MPI_Request?] = []
  private let question = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
  private let answer = UnsafeMutablePointer<Int64>.allocate(capacity: 1)
  private var nextQuestion = ContinuousClock.now
  private var knowsOfStop = false

  /// - Parameter handle: a communicator of all ranks that nobody else uses; it is freed at the end.
  init(count: Int, over handle: MPI_Comm?, of communicator: MPICommunicator) {
    self.handle = handle
    self.communicator = communicator
    counter = WorkCounter(count: count)
    guard communicator.rank == 0, communicator.size > 1 else { return }
    answering.enter()
    let thread = Thread { [self] in
      answerQuestions()
      answering.leave()
    }
    thread.start()
  }

  deinit {
    question.deallocate()
    answer.deallocate()
  }

  func take() throws -> Int? {
    if communicator.rank == 0 { return counter.take() }
    let task = try ask(.take)
    return task == Self.nothing ? nil : Int(task)
  }

  func stop() throws {
    if communicator.rank == 0 { return counter.stop() }
    if knowsOfStop { return }
    _ = try ask(.stop)
    knowsOfStop = true
  }

  func isStopped() throws -> Bool {
    if communicator.rank == 0 { return counter.isStopped }
    if knowsOfStop { return true }
    if requests.isEmpty {
      guard ContinuousClock.now >= nextQuestion else { return false }
      nextQuestion = .now + .seconds(1)
      try post(.isStopped)
    }
    var isThere: Int32 = 0
    try communicator.check(
      MPI_Testall(Int32(requests.count), &requests, &isThere, rd_statuses_ignore()), "MPI_Testall")
    if isThere != 0 { noteAnswer() }
    return knowsOfStop
  }

  func finish(whileWaiting: () throws -> Void) throws {
    try communicator.waitAtQueue { try awaitOthers(whileWaiting) }
    isEnding.store(true, ordering: .releasing)
    answering.wait()
    try communicator.check(MPI_Comm_free(&handle), "MPI_Comm_free")
  }

  private func awaitOthers(_ whileWaiting: () throws -> Void) throws {
    var request = rd_request_null()
    try communicator.check(MPI_Ibarrier(handle, &request), "MPI_Ibarrier")
    var isDone: Int32 = 0
    while isDone == 0 {
      try whileWaiting()
      Thread.sleep(forTimeInterval: Self.pause)
      try communicator.check(MPI_Test(&request, &isDone, rd_status_ignore()), "MPI_Test")
    }
    // Now nobody works any more, but somebody may still have asked while waiting; after this, nobody has.
    try awaitAnswer()
    try communicator.check(MPI_Barrier(handle), "MPI_Barrier")
  }

  // MARK: Asking

  private func ask(_ question: Question) throws -> Int64 {
    try awaitAnswer()
    try post(question)
    try awaitAnswer()
    return answer.pointee
  }

  private func post(_ text: Question) throws {
    question.pointee = text.rawValue
    var (sending, receiving) = (rd_request_null(), rd_request_null())
    try communicator.check(
      MPI_Irecv(answer, 1, rd_int64(), 0, Self.answerTag, handle, &receiving), "MPI_Irecv")
    try communicator.check(
      MPI_Isend(question, 1, rd_int64(), 0, Self.questionTag, handle, &sending), "MPI_Isend")
    requests = [sending, receiving]
  }

  private func awaitAnswer() throws {
    guard !requests.isEmpty else { return }
    let status = communicator.waitAtQueue {
      MPI_Waitall(Int32(requests.count), &requests, rd_statuses_ignore())
    }
    try communicator.check(status, "MPI_Waitall")
    noteAnswer()
  }

  private func noteAnswer() {
    requests = []
    if question.pointee == Question.isStopped.rawValue, answer.pointee != 0 { knowsOfStop = true }
  }

  // MARK: Answering

  private func answerQuestions() {
    do {
      while !isEnding.load(ordering: .acquiring) {
        if try !answerOne() { Thread.sleep(forTimeInterval: Self.pause) }
      }
    } catch {
      // Others wait for answers that will not come.
      sayAsError("\(error)")
      communicator.abort(ExitCode.communication.rawValue)
    }
  }

  /// - Returns: whether there was a question.
  private func answerOne() throws -> Bool {
    var isThere: Int32 = 0
    var status = MPI_Status()
    try communicator.check(
      MPI_Iprobe(MPI_ANY_SOURCE, Self.questionTag, handle, &isThere, &status), "MPI_Iprobe")
    guard isThere != 0 else { return false }
    var text: Int64 = 0
    try communicator.check(
      MPI_Recv(&text, 1, rd_int64(), status.MPI_SOURCE, Self.questionTag, handle, rd_status_ignore()), "MPI_Recv")
    var answer: Int64 = 0
    switch Question(rawValue: text) {
    case .take: answer = counter.take().map(Int64.init) ?? Self.nothing
    case .stop: counter.stop()
    case .isStopped: answer = counter.isStopped ? 1 : 0
    case nil: throw Failure(.communication, "the queue was asked \(text) by rank \(status.MPI_SOURCE)")
    }
    try communicator.check(
      MPI_Send(&answer, 1, rd_int64(), status.MPI_SOURCE, Self.answerTag, handle), "MPI_Send")
    return true
  }
}
