import Testing

@testable import Collectives

@Suite struct StallVerdictTests {
  private static let timeout = Duration.seconds(10)

  private static func waiting(in number: Int, for seconds: Int = 11) -> RankState {
    RankState(position: CallPosition(number: number, call: .allGather), step: 3, waiting: .seconds(seconds))
  }

  private static func between(_ number: Int, idleFor seconds: Int) -> RankState {
    RankState(position: CallPosition(number: number), step: 3, idle: .seconds(seconds))
  }

  struct Case: CustomTestStringConvertible {
    let testDescription: String
    let states: [RankState?]
    let verdict: StallVerdict

    init(_ description: String, _ states: [RankState?], _ verdict: StallVerdict) {
      (testDescription, self.states, self.verdict) = (description, states, verdict)
    }
  }

  @Test(arguments: [
    Case("one computes", [waiting(in: 5), between(4, idleFor: 0)], .waitOn),
    Case("one reads a file, not for long yet", [waiting(in: 5), between(4, idleFor: 9)], .waitOn),
    Case("one has passed on and computes", [waiting(in: 5), between(6, idleFor: 0)], .waitOn),
    Case("the last has just arrived", [waiting(in: 5), waiting(in: 5, for: 1)], .waitOn),
    Case("one is silent", [waiting(in: 5), nil, waiting(in: 5)], .stuck(silent: [1], inactive: [])),
    Case("one does nothing", [waiting(in: 5), between(4, idleFor: 10)], .stuck(silent: [], inactive: [1])),
    Case(
      "one is silent, one does nothing, one computes",
      [nil, waiting(in: 5), between(4, idleFor: 60), between(4, idleFor: 0)], .stuck(silent: [0], inactive: [2])),
    Case("all are here and nothing comes", [waiting(in: 5), waiting(in: 5)], .lost([0, 1])),
    Case("one is behind, and waits too", [waiting(in: 5), waiting(in: 4), waiting(in: 5)], .lost([1])),
  ])
  func verdicts(of given: Case) {
    #expect(StallVerdict(given.states, timeout: Self.timeout) == given.verdict)
  }

  private func message(_ states: [RankState?], waiter: Int = 0) -> String? {
    let addresses = states.indices.map { RankAddress(rank: $0 + 4, host: "node\($0)", process: 100 + Int32($0)) }
    return StallVerdict(states, timeout: Self.timeout).message(states, waiter: waiter, addresses: addresses)
  }

  @Test func theMessageNamesRankHostStepAndCall() {
    #expect(
      message([Self.waiting(in: 5), nil, Self.between(4, idleFor: 12)]) == """
        step 3: rank 4 on host node0 (process 100) has waited for 11 s in MPI_Allgatherv, collective call 5, for
          rank 5 on host node1 (process 101), which does not answer: it was stopped, its host is down, or the network to it is cut
          rank 6 on host node2 (process 102), which has used no processor time for 12 s: does it wait for a file?
        """)
    #expect(
      message([Self.waiting(in: 5), Self.waiting(in: 4)]) == """
        step 3: rank 4 on host node0 (process 100) has waited for 11 s in MPI_Allgatherv, collective call 5, and all ranks wait: messages were lost to
          rank 5 on host node1 (process 101), in collective call 4, step 3
        """)
    #expect(
      message([Self.waiting(in: 5), Self.waiting(in: 5)])?.hasPrefix(
        "step 3: all 2 ranks have been in MPI_Allgatherv, collective call 5, for 11 s") == true)
    #expect(message([Self.waiting(in: 5), Self.between(4, idleFor: 0)]) == nil)
  }

  @Test func ofManyRanksSomeAreNamed() {
    let text = message([Self.waiting(in: 5)] + Array(repeating: nil, count: 20)) ?? ""
    #expect(text.contains("rank 12 on host node8") && !text.contains("rank 13 "))
    #expect(text.hasSuffix("\n  and 12 more"))
  }
}

@Suite struct RankActivityTests {
  private static let inCall = CallPosition(number: 1, call: .barrier)

  private func activity(
    _ looks: [(position: CallPosition, seconds: Double, processorSeconds: Double)]
  ) -> RankActivity {
    var activity = RankActivity(longestGap: .seconds(4))
    for look in looks {
      activity.look(look.position, time: .seconds(look.seconds), processorTime: .seconds(look.processorSeconds))
    }
    return activity
  }

  @Test func timeAddsUpInOneCall() {
    let waiting = activity([(Self.inCall, 0, 0), (Self.inCall, 1, 1), (Self.inCall, 2.5, 2.5)])
    #expect(waiting.waiting == .seconds(2.5) && waiting.idle == .zero)
    let next = activity([
      (Self.inCall, 0, 0), (Self.inCall, 1, 1), (CallPosition(number: 2, call: .barrier), 2, 2),
    ])
    #expect(next.waiting == .zero)
    #expect(
      activity([(Self.inCall, 0, 0), (CallPosition(number: 1), 1, 1), (CallPosition(number: 1), 2, 2)]).waiting == .zero
    )
  }

  @Test func idlenessEndsWithTheFirstWork() {
    let between = CallPosition(number: 1)
    #expect(activity([(between, 0, 7), (between, 1, 7), (between, 2, 7.001)]).idle == .seconds(2))
    #expect(activity([(between, 0, 7), (between, 1, 7), (between, 2, 7.1)]).idle == .zero)
  }

  /// A job that a scheduler suspended for an hour accuses nobody when it goes on.
  @Test func aSuspendedProcessCountsAnew() {
    let looks = [(Self.inCall, 0.0, 0.0), (Self.inCall, 1, 0), (Self.inCall, 3600, 0)]
    let woken = activity(looks)
    #expect(woken.waiting == .zero && woken.idle == .zero)
    let later = activity(looks + [(Self.inCall, 3601, 0)])
    #expect(later.waiting == .seconds(1) && later.idle == .seconds(1))
  }

  @Test func theRecordCountsCalls() {
    let record = CallRecord()
    record.step = 7
    #expect(record.position == CallPosition(number: 0) && record.step == 7)
    record.during(.broadcast) { #expect(record.position == CallPosition(number: 1, call: .broadcast)) }
    #expect(record.position == CallPosition(number: 1))
    record.during(.barrier) { #expect(record.position == CallPosition(number: 2, call: .barrier)) }
  }
}
