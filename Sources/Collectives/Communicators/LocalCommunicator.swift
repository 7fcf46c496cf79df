import Diagnostics
import Foundation

/// Ranks that are threads of one process: the same rules as under MPI, without a launcher.
public final class LocalCommunicator: JobCommunicator {
  public let rank: Int
  public var size: Int { team.size }
  public let rankInJob: Int
  private let team: Team

  /// The only rank of a job.
  public convenience init() {
    self.init(rank: 0, team: Team(size: 1))
  }

  private init(rank: Int, rankInJob: Int? = nil, team: Team) {
    self.rank = rank
    self.rankInJob = rankInJob ?? rank
    self.team = team
  }

  /// Runs `body` as every rank of a job of `size` ranks, each on a thread of its own.
  ///
  /// When a rank throws or returns, those that wait for it in a collective call, or later would, get a `Failure(.communication)` instead.
  /// - Returns: what the ranks returned, by rank.
  /// - Throws: the first error that a rank threw.
  @discardableResult
  public static func run<Value: Sendable>(
    size: Int, _ body: @escaping @Sendable (LocalCommunicator) throws -> Value
  ) throws -> [Value] {
    let team = Team(size: size)
    let outcomes = Outcomes<Value>()
    let group = DispatchGroup()
    for rank in 0..<size {
      group.enter()
      let thread = Thread {
        let result = Result { try body(LocalCommunicator(rank: rank, team: team)) }
        outcomes.add(result, of: rank)
        team.leave(rank, after: result)
        group.leave()
      }
      // A thread's default of 512 KiB is less than a program's main thread has.
      thread.stackSize = 8 << 20
      thread.start()
    }
    group.wait()
    return try outcomes.values()
  }

  public func barrier() throws {
    try team.wait(rank)
  }

  public func broadcast(_ buffer: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try exchange(Offer(send: UnsafeRawBufferPointer(buffer), ranges: [])) { offers in
      guard rank != root else { return nil }
      guard offers[root].send.count == buffer.count else {
        return "rank \(root) broadcasts \(offers[root].send.count) bytes, rank \(rank) expects \(buffer.count)"
      }
      buffer.copyMemory(from: offers[root].send)
      return nil
    }
  }

  public func allGather(
    _ send: UnsafeRawBufferPointer, into receive: UnsafeMutableRawBufferPointer, counts: [Int]
  ) throws {
    precondition(counts.count == size && send.count == counts[rank])
    let places = consecutiveRanges(of: counts)
    try exchange(Offer(send: send, ranges: places)) { offers in
      for (source, place) in places.enumerated() {
        guard offers[source].ranges == places else { return "ranks \(source) and \(rank) disagree on an all-gather" }
        let part = UnsafeMutableRawBufferPointer(rebasing: receive[place])
        if part.baseAddress.map({ UnsafeRawPointer($0) }) != offers[source].send.baseAddress {
          part.copyMemory(from: offers[source].send)
        }
      }
      return nil
    }
  }

  public func allToAll(
    _ send: UnsafeRawBufferPointer, sendRanges: [Range<Int>],
    into receive: UnsafeMutableRawBufferPointer, receiveRanges: [Range<Int>]
  ) throws {
    precondition(sendRanges.count == size && receiveRanges.count == size)
    try exchange(Offer(send: send, ranges: sendRanges)) { offers in
      for (source, place) in receiveRanges.enumerated() {
        guard offers[source].ranges.count == size, offers[source].ranges[rank].count == place.count else {
          return "rank \(source) sends other bytes than the \(place.count) that rank \(rank) expects"
        }
        UnsafeMutableRawBufferPointer(rebasing: receive[place]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: offers[source].send[offers[source].ranges[rank]]))
      }
      return nil
    }
  }

  public func split(_ group: Int) throws -> any Communicator {
    let groups = try allGather(values: [group])
    let members = groups.indices.filter { groups[$0] == group }
    let part = try shared(from: members[0]) {
      let part = Team(size: members.count)
      team.add(part, members: members)
      return part
    }
    return LocalCommunicator(rank: members.count { $0 < rank }, rankInJob: rankInJob, team: part)
  }

  public func makeQueue(count: Int) throws -> any WorkQueue {
    LocalWorkQueue(try shared(from: 0) { WorkCounter(count: count) }, of: self)
  }

  /// What the rank `root` makes. Collective, but other ranks may take part with another root.
  private func shared<Object: AnyObject & Sendable>(from root: Int, make: () -> Object) throws -> Object {
    var object: Object?
    try exchange(Offer(object: rank == root ? make() : nil)) { offers in
      object = offers[root].object as? Object
      return object == nil ? "rank \(root) does not share what rank \(rank) expects" : nil
    }
    guard let object else { throw Failure(.internalError, "an exchange without a result") }
    return object
  }

  /// Nobody: ranks that are no processes of their own cannot be lost on their own.
  public func watch(stallTimeout: Duration?) {}

  public func enter(step: Int) {}

  public func finish() throws {
    try team.wait(rank)
  }

  public func abort(_ code: Int32) -> Never {
    exit(code)
  }

  /// Shows the others what this rank offers, lets `take` read theirs, and returns when all have done so.
  /// - Parameter take: what is wrong with the offers, if anything.
  private func exchange(_ offer: Offer, take: ([Offer]) -> String?) throws {
    let offers = try team.wait(rank, offering: offer)
    let complaint = take(offers)
    // No rank leaves, not even with an error, before all have read: they read its memory.
    try team.wait(rank)
    if let complaint { throw Failure(.communication, complaint) }
  }
}

/// What a rank lets the others read during a collective call.
private struct Offer {
  var send = UnsafeRawBufferPointer(start: nil, count: 0)
  /// The part of `send` for each rank, or what else the ranks have to agree on.
  var ranges: [Range<Int>] = []
  var object: (any AnyObject & Sendable)?
}

/// The meeting point of the ranks.
private final class Team: @unchecked Sendable {
  let size: Int
  private let condition = NSCondition()
  private var arrived = 0
  private var meeting = 0
  private var offers: [Offer]
  /// Why no meeting can take place any more.
  private var absence: String?
  /// The groups that this team has been divided into, and which of its ranks each has.
  private var parts: [(team: Team, members: [Int])] = []

  init(size: Int) {
    self.size = size
    offers = Array(repeating: Offer(), count: size)
  }

  /// Waits for all ranks.
  /// - Returns: what each offered last.
  @discardableResult
  func wait(_ rank: Int, offering offer: Offer? = nil) throws -> [Offer] {
    condition.lock()
    defer { condition.unlock() }
    let current = meeting
    // The old offers stay until the next are made: some rank may not have woken yet to take them.
    if let offer { offers[rank] = offer }
    arrived += 1
    if absence == nil, arrived == size {
      arrived = 0
      meeting += 1
      condition.broadcast()
    }
    while meeting == current {
      if let absence { throw Failure(.communication, "rank \(rank): \(absence)") }
      condition.wait()
    }
    return offers
  }

  func add(_ part: Team, members: [Int]) {
    condition.lock()
    defer { condition.unlock() }
    parts.append((part, members))
  }

  /// Takes a rank out of the job for good, which releases those that wait for it.
  func leave(_ rank: Int, after result: Result<some Any, any Error>) {
    condition.lock()
    defer { condition.unlock() }
    for part in parts {
      if let member = part.members.firstIndex(of: rank) { part.team.leave(member, after: result) }
    }
    guard absence == nil else { return }
    switch result {
    case .success: absence = "rank \(rank) has returned"
    case .failure(let error): absence = "rank \(rank) has failed: \(error)"
    }
    condition.broadcast()
  }
}

/// What the ranks returned or threw, in the order in which they ended.
private final class Outcomes<Value: Sendable>: @unchecked Sendable {
  private let lock = NSLock()
  private var results: [(rank: Int, result: Result<Value, any Error>)] = []

  func add(_ result: Result<Value, any Error>, of rank: Int) {
    lock.withLock { results.append((rank, result)) }
  }

  func values() throws -> [Value] {
    try lock.withLock {
      for (_, result) in results { _ = try result.get() }
      return try results.sorted { $0.rank < $1.rank }.map { try $0.result.get() }
    }
  }
}
