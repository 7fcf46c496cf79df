import COpenMPI
import Diagnostics
import Foundation

/// The ranks of an MPI job, or a group of them.
///
/// Byte counts are not limited to MPI's 2^31 - 1: larger messages go in rounds.
public final class MPICommunicator: JobCommunicator, @unchecked Sendable {
  public let rank: Int
  public let size: Int
  public let rankInJob: Int

  /// No message is longer than this many bytes.
  private let messageLimit: Int
  private let handle: MPI_Comm?
  // Reused by every call, so that none allocates. The protocol's rule of one thread at a time protects them.
  private var requests: [MPI_Request?] = []
  private var counts: [Int32]
  private var offsets: [Int32]
  /// Which call this rank is in.
  private let record = CallRecord()
  private var watchdog: Watchdog?

  /// Joins the job that the launcher started. Called once in a process.
  ///
  /// Without a launcher the answer is a ``LocalCommunicator`` of one rank and MPI is not touched: MPI would start a daemon of its own.
  /// - Throws: `Failure(.communication)` if MPI cannot be initialised, or sees other ranks than the launcher started.
  public static func start() throws -> any JobCommunicator {
    try start(messageLimit: 1 << 30)
  }

  /// ``start()`` with another limit to the length of a message, so that tests need not send gigabytes.
  package static func start(messageLimit: Int) throws -> any JobCommunicator {
    let launch = LaunchEnvironment.current
    if let tasks = launch.tasksWithoutMPI {
      throw Failure(
        .communication, "srun started \(tasks) tasks without MPI: each would train alone",
        hint: "use srun --mpi=pmix (srun --mpi=list names what there is), or mpirun inside an allocation")
    }
    guard launch.hasLauncher else { return LocalCommunicator() }

    var provided: Int32 = 0
    let place = "rank \(launch.rank) on host \(LaunchEnvironment.hostName)"
    // The ranks' watchdogs have threads of their own, and so has the queue of work; without them one thread at a time is enough.
    try check(MPI_Init_thread(nil, nil, Int32(MPI_THREAD_MULTIPLE), &provided), "MPI_Init_thread", place: place)
    guard provided >= MPI_THREAD_SERIALIZED else {
      throw Failure(.communication, "\(place): this MPI library does not support programs with threads")
    }
    let communicator = try MPICommunicator(rd_comm_world(), messageLimit: messageLimit, place: place)
    if let expected = launch.size, expected != communicator.size {
      throw Failure(
        .communication, "\(place): the launcher started \(expected) ranks, but MPI sees \(communicator.size)",
        hint: "start the job with the mpirun of the MPI library that this program was built with")
    }
    return communicator
  }

  private init(_ handle: MPI_Comm?, rankInJob: Int? = nil, messageLimit: Int, place: String) throws {
    try Self.check(
      MPI_Comm_set_errhandler(handle, rd_errors_return()), "MPI_Comm_set_errhandler", place: place)
    var rank: Int32 = 0
    var size: Int32 = 0
    try Self.check(MPI_Comm_rank(handle, &rank), "MPI_Comm_rank", place: place)
    try Self.check(MPI_Comm_size(handle, &size), "MPI_Comm_size", place: place)
    self.handle = handle
    self.rank = Int(rank)
    self.size = Int(size)
    self.rankInJob = rankInJob ?? Int(rank)
    self.messageLimit = min(messageLimit, Int(Int32.max))
    counts = [Int32](repeating: 0, count: Int(size))
    offsets = [Int32](repeating: 0, count: Int(size))
  }

  public func barrier() throws {
    try call(.barrier) { MPI_Barrier(handle) }
  }

  public func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws {
    for start in stride(from: 0, to: buffer.count, by: messageLimit) {
      let count = min(messageLimit, buffer.count - start)
      try call(.broadcast) {
        MPI_Bcast(buffer.baseAddress.map { $0 + start }, Int32(count), rd_byte(), Int32(root), handle)
      }
    }
  }

  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts byteCounts: [Int]
  ) throws {
    precondition(byteCounts.count == size && send.count == byteCounts[rank])
    let total = byteCounts.reduce(0, +)
    precondition(receive.count >= total)
    guard total > 0, let destination = receive.baseAddress else { return }
    let ownOffset = byteCounts[..<rank].reduce(0, +)
    let ownPlace = destination + ownOffset
    // MPI wants its "in place" from all ranks or from none, and one that sends nothing cannot tell: so all parts are put in place first.
    if let source = send.baseAddress, source != UnsafeRawPointer(ownPlace) {
      ownPlace.copyMemory(from: source, byteCount: send.count)
    }

    if total <= messageLimit {
      var offset = 0
      for (rank, count) in byteCounts.enumerated() {
        counts[rank] = Int32(count)
        offsets[rank] = Int32(offset)
        offset += count
      }
      try call(.allGather) {
        MPI_Allgatherv(rd_in_place(), counts[rank], rd_byte(), destination, counts, offsets, rd_byte(), handle)
      }
    } else {
      // MPI's displacements are 32 bits wide.
      var offset = 0
      for (root, count) in byteCounts.enumerated() {
        try broadcast(UnsafeMutableRawBufferPointer(start: destination + offset, count: count), from: root)
        offset += count
      }
    }
  }

  public func allToAll(
    _ send: UnsafeRawBufferPointer, sendRanges: [Range<Int>],
    into receive: UnsafeMutableRawBufferPointer, receiveRanges: [Range<Int>]
  ) throws {
    precondition(sendRanges.count == size && receiveRanges.count == size)
    precondition(sendRanges[rank].count == receiveRanges[rank].count)
    requests.removeAll(keepingCapacity: true)
    // Each rank begins with another partner, so that no rank is everybody's first.
    for distance in 1..<max(size, 1) {
      let source = (rank + size - distance) % size
      try post(receiveRanges[source], "MPI_Irecv") { start, count, request in
        MPI_Irecv(receive.baseAddress.map { $0 + start }, count, rd_byte(), Int32(source), 0, handle, &request)
      }
    }
    for distance in 1..<max(size, 1) {
      let destination = (rank + distance) % size
      try post(sendRanges[destination], "MPI_Isend") { start, count, request in
        MPI_Isend(send.baseAddress.map { $0 + start }, count, rd_byte(), Int32(destination), 0, handle, &request)
      }
    }
    UnsafeMutableRawBufferPointer(rebasing: receive[receiveRanges[rank]]).copyMemory(
      from: UnsafeRawBufferPointer(rebasing: send[sendRanges[rank]]))
    try call(.allToAll) { MPI_Waitall(Int32(requests.count), &requests, rd_statuses_ignore()) }
  }

  /// Starts the transfer of these bytes, in messages of at most `messageLimit`.
  private func post(
    _ bytes: Range<Int>, _ name: String, start: (_ start: Int, _ count: Int32, _ request: inout MPI_Request?) -> Int32
  ) throws {
    for offset in stride(from: bytes.lowerBound, to: bytes.upperBound, by: messageLimit) {
      var request = rd_request_null()
      try check(start(offset, Int32(min(messageLimit, bytes.upperBound - offset)), &request), name)
      requests.append(request)
    }
  }

  public func split(_ group: Int) throws -> any Communicator {
    var part: MPI_Comm?
    try call(.split) { MPI_Comm_split(handle, Int32(group), Int32(rank), &part) }
    return try MPICommunicator(part, rankInJob: rankInJob, messageLimit: messageLimit, place: place)
  }

  public func makeQueue(count: Int) throws -> any WorkQueue {
    try requireSeveralThreads(for: "sharing work between groups of ranks", hint: "start a job for each category")
    // Its messages have a communicator of their own.
    var copy: MPI_Comm?
    try call(.duplicate) { MPI_Comm_dup(handle, &copy) }
    return MPIWorkQueue(count: count, over: copy, of: self)
  }

  public func watch(stallTimeout: Duration?) throws {
    guard size > 1, watchdog == nil else { return }
    let address = RankAddress(
      rank: rankInJob, host: LaunchEnvironment.hostName,
      process: ProcessInfo.processInfo.processIdentifier)
    let addresses = try allGather(coded: [address])
    let timeouts = try allGather(values: stallTimeout.map { [$0] } ?? [])
    guard let longest = timeouts.max(), timeouts.count == size else { return }
    try requireSeveralThreads(for: "watching the ranks", hint: "switch the stall timeout off")
    watchdog = Watchdog(
      record, rank: rank, addresses: addresses, timeout: longest, mail: try WatchdogMail(beside: handle))
  }

  private func requireSeveralThreads(for purpose: String, hint: String) throws {
    var level: Int32 = 0
    try check(MPI_Query_thread(&level), "MPI_Query_thread")
    guard level == MPI_THREAD_MULTIPLE else {
      throw Failure(
        .communication, "this MPI library lets no second thread call it, which \(purpose) takes", hint: hint)
    }
  }

  /// Ends what ``watch(stallTimeout:)`` began, once all ranks are here: until then they may wait for each other. Collective.
  private func endWatch() throws {
    guard let watchdog else { return }
    try barrier()
    watchdog.stop()
    self.watchdog = nil
  }

  public func enter(step: Int) { record.step = step }

  public func finish() throws {
    try endWatch()
    guard handle != rd_comm_world() else { return try check(MPI_Finalize(), "MPI_Finalize") }
    var handle = handle
    try check(MPI_Comm_free(&handle), "MPI_Comm_free")
  }

  public func abort(_ code: Int32) -> Never {
    MPI_Abort(rd_comm_world(), code)
    exit(code)
  }

  private var place: String { "rank \(rankInJob) on host \(LaunchEnvironment.hostName)" }

  /// Runs a part of the job's queue of work in which this rank may wait for others.
  func waitAtQueue<Value>(_ body: () throws -> Value) rethrows -> Value { try record.aside(.workQueue, body) }

  /// Makes a call in which this rank may wait for others.
  private func call(_ call: MPICall, _ body: () -> Int32) throws {
    try check(record.during(call, body), call.name)
  }

  /// - Throws: `Failure(.communication)` where a call of MPI says that it failed.
  func check(_ status: Int32, _ name: String) throws {
    try Self.check(status, name, place: place)
  }

  private static func check(_ status: Int32, _ name: String, place: @autoclosure () -> String) throws {
    guard status != MPI_SUCCESS else { return }
    var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING))
    var length: Int32 = 0
    MPI_Error_string(status, &text, &length)
    let reason = String(decoding: text.prefix(Int(length)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    throw Failure(.communication, "\(place()): \(name) failed: \(reason)")
  }
}
