import CVectorKernels
import Foundation
import Synchronization

/// The threads of a rank. A loop's items are handed out one by one to whoever is free, so what an item computes must not depend on the
/// thread that computes it.
public final class ThreadTeam: @unchecked Sendable {
  /// How many threads there are, the calling one included.
  public let count: Int

  // What the threads are to do. Written by the caller before `generation` rises, read by the workers after it has risen.
  private var body: ((_ item: Int, _ thread: Int) throws -> Void)?
  private var items = 0
  private let generation = Atomic<Int>(0)
  private let nextItem = Atomic<Int>(0)
  private let working = Atomic<Int>(0)
  private let isEnding = Atomic<Bool>(false)
  private let firstError = Mutex<(any Error)?>(nil)

  /// Guards falling asleep, and nothing else.
  private let condition = NSCondition()

  /// How often a thread looks for a change before it falls asleep: some tens of microseconds. Waking up takes as long, and most waits are shorter.
  private static let patience = 4_000

  public init(count: Int) {
    precondition(count > 0)
    self.count = count
    let group = DispatchGroup()
    for thread in 1..<max(count, 1) {
      group.enter()
      // The thread keeps the team until it ends: it looks at it for the last time after `finish` has returned.
      let worker = Thread { [self] in
        group.leave()
        work(as: thread)
      }
      worker.stackSize = 8 << 20
      worker.start()
    }
    group.wait()
  }

  /// Ends the threads, which hold on to the team until then. The last call.
  public func finish() {
    wake { isEnding.store(true, ordering: .releasing) }
  }

  /// Runs `body` for the items `0 ..< items` and returns when all are done. Allocates nothing but the few bytes in which
  /// Swift puts a closure that other threads call.
  /// - Throws: the first error that an item threw; then not all items need have run.
  public func run(_ items: Int, _ body: (_ item: Int, _ thread: Int) throws -> Void) throws {
    guard count > 1, items > 1 else {
      for item in 0..<items { try body(item, 0) }
      return
    }
    withoutActuallyEscaping(body) { body in
      self.body = body
      self.items = items
      nextItem.store(0, ordering: .relaxed)
      working.store(count - 1, ordering: .relaxed)
      wake { generation.add(1, ordering: .releasing) }
      takeItems(thread: 0)
      wait { working.load(ordering: .acquiring) == 0 }
      self.body = nil
    }
    if let error = firstError.withLock({ error in
      defer { error = nil }
      return error
    }) {
      throw error
    }
  }

  /// The values of `body` for the items `0 ..< items`, each computed by whoever is free.
  /// - Throws: the first error that an item threw.
  public func map<Value>(_ items: Int, _ body: (_ item: Int) throws -> Value) throws -> [Value] {
    var values = [Value?](repeating: nil, count: items)
    try values.withUnsafeMutableBufferPointer { buffer in
      // Each item writes its own element.
      nonisolated(unsafe) let places = buffer
      try run(items) { item, _ in places[item] = try body(item) }
    }
    return values.map { $0! }
  }

  private func work(as thread: Int) {
    var seen = 0
    while true {
      wait { isEnding.load(ordering: .acquiring) || generation.load(ordering: .acquiring) != seen }
      if isEnding.load(ordering: .acquiring) { return }
      seen += 1
      takeItems(thread: thread)
      if working.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 { wake {} }
    }
  }

  private func takeItems(thread: Int) {
    guard let body else { return }
    while true {
      let item = nextItem.add(1, ordering: .relaxed).oldValue
      guard item < items else { return }
      do {
        try body(item, thread)
      } catch {
        firstError.withLock { first in first = first ?? error }
        nextItem.store(items, ordering: .relaxed)
      }
    }
  }

  private func wait(until isReached: () -> Bool) {
    for _ in 0..<Self.patience {
      if isReached() { return }
      rd_pause()
    }
    condition.lock()
    while !isReached() { condition.wait() }
    condition.unlock()
  }

  private func wake(_ change: () -> Void) {
    condition.lock()
    change()
    condition.broadcast()
    condition.unlock()
  }
}
