/// What a watchdog sees of its own rank, look by look.
struct RankActivity: Sendable {
  /// The most that may lie between two looks. Where it was more, the process itself had been stopped, as by a scheduler that suspends
  /// jobs: then the time says nothing about other ranks, and counting begins anew.
  let longestGap: Duration

  /// How long the rank has been in the same collective call.
  private(set) var waiting = Duration.zero
  /// How long it has used no processor time.
  private(set) var idle = Duration.zero
  private var last: (position: CallPosition, time: Duration, processorTime: Duration)?

  init(longestGap: Duration) { self.longestGap = longestGap }

  /// - Parameters:
  ///   - time: of a clock that goes on while the process is stopped.
  ///   - processorTime: what all threads of the process have used so far.
  mutating func look(_ position: CallPosition, time: Duration, processorTime: Duration) {
    defer { last = (position, time, processorTime) }
    guard let last, time - last.time <= longestGap else {
      (waiting, idle) = (.zero, .zero)
      return
    }
    let elapsed = time - last.time
    waiting = position.call != nil && position == last.position ? waiting + elapsed : .zero
    // The watchdog's own looks take some microseconds.
    idle = processorTime - last.processorTime < elapsed / 100 ? idle + elapsed : .zero
  }
}
