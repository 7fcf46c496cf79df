import COpenMPI
import Diagnostics
import Foundation

/// Ends a job in which a rank waits for another that will never come: one that was stopped, that the network no longer reaches, or that
/// hangs in a file system.
///
/// Every rank of a communicator has one, a thread that looks now and then where its rank is. A rank that has been in one collective call
/// for longer than the timeout asks the others what they do; of several such ranks the lowest does. A rank that does not answer in time, or
/// that has done nothing at all for as long, is named on standard error, and the job is aborted. MPI itself would wait for ever.
final class Watchdog: @unchecked Sendable {
  private struct Inquiry {
    let number: Int
    let deadline: Duration
    var answers: [RankState?]
  }

  private let record: CallRecord
  private let rank: Int
  private let addresses: [RankAddress]
  private let timeout: Duration
  /// Between two looks.
  private let interval: Duration
  /// How long answers may take. A healthy rank's take one interval.
  private let grace: Duration
  private let stopRequest = DispatchSemaphore(value: 0)
  private let end = DispatchSemaphore(value: 0)

  // The thread's own, once it runs.
  private let mail: WatchdogMail
  private let start = ContinuousClock.now
  private var activity: RankActivity
  private var inquiry: Inquiry?
  private var inquiryCount = 0
  /// Before this time nothing is asked.
  private var quietUntil = Duration.zero

  /// Starts to watch.
  /// - Parameters:
  ///   - record: what the rank does.
  ///   - addresses: those of the communicator's ranks.
  init(_ record: CallRecord, rank: Int, addresses: [RankAddress], timeout: Duration, mail: WatchdogMail) {
    self.record = record
    self.rank = rank
    self.addresses = addresses
    self.timeout = timeout
    self.mail = mail
    interval = min(timeout / 4, .seconds(1))
    grace = min(timeout, .seconds(30))
    activity = RankActivity(longestGap: interval * 4)
    let thread = Thread { [self] in
      while stopRequest.wait(timeout: .now() + interval.dispatchInterval) == .timedOut { look() }
      end.signal()
    }
    thread.name = "watchdog"
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// Ends the thread. Collective, once all ranks have arrived.
  func stop() {
    stopRequest.signal()
    end.wait()
    mail.close()
  }

  private var now: Duration { ContinuousClock.now - start }

  private var state: RankState {
    RankState(position: record.position, step: record.step, waiting: activity.waiting, idle: activity.idle)
  }

  private func look() {
    activity.look(record.position, time: now, processorTime: processorTime())
    while let (message, sender) = mail.receive() {
      switch message.kind {
      case .question:
        mail.send(.init(kind: .answer, inquiry: message.inquiry, state: state), to: sender)
        if sender < rank {
          inquiry = nil
          quietUntil = now + grace * 2
        }
      case .answer:
        if message.inquiry == inquiry?.number { inquiry?.answers[sender] = message.state }
      case .end:
        lightFuse()
        Thread.sleep(forTimeInterval: .infinity)
      }
    }
    guard activity.waiting >= timeout else {
      inquiry = nil
      return
    }
    if let inquiry {
      if now >= inquiry.deadline || !inquiry.answers.contains(nil) { conclude(inquiry) }
    } else if now >= quietUntil, activity.waiting >= timeout + interval * 2 * min(rank, 4) {
      // The lowest rank asks first, and its question keeps the others from asking.
      ask()
    }
  }

  private func ask() {
    inquiryCount += 1
    var answers = [RankState?](repeating: nil, count: addresses.count)
    answers[rank] = state
    inquiry = Inquiry(number: inquiryCount, deadline: now + grace, answers: answers)
    for other in answers.indices where other != rank {
      mail.send(.init(kind: .question, inquiry: inquiryCount), to: other)
    }
  }

  private func conclude(_ inquiry: Inquiry) {
    self.inquiry = nil
    quietUntil = now + timeout
    var states = inquiry.answers
    states[rank] = state
    let verdict = StallVerdict(states, timeout: timeout)
    guard let message = verdict.message(states, waiter: rank, addresses: addresses) else { return }
    lightFuse()
    let failure = Failure(
      .communication, message,
      hint: "start the job again; --stall-timeout says how long ranks wait")
    sayAsError("\(ProcessInfo.processInfo.processName): \(failure)")
    // The launcher may reach this rank no more, and others that this one reaches neither.
    for other in states.indices where other != rank { mail.send(.init(kind: .end), to: other) }
    for _ in 0..<10 {
      mail.advance()
      Thread.sleep(forTimeInterval: 0.02)
    }
    MPI_Abort(rd_comm_world(), ExitCode.communication.rawValue)
    Thread.sleep(forTimeInterval: .infinity)
  }

  /// Lets this process end by itself where the launcher does not end it.
  private func lightFuse() {
    Thread {
      Thread.sleep(forTimeInterval: 5)
      _exit(ExitCode.communication.rawValue)
    }.start()
  }
}

/// The processor time that all threads of this process have used.
private func processorTime() -> Duration {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

extension Duration {
  fileprivate var dispatchInterval: DispatchTimeInterval {
    .nanoseconds(Int(components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000))
  }
}
