import Collectives
import Diagnostics
import Foundation
import Synchronization

/// What may ask a run to stop before it is done, with a checkpoint to go on from: a signal to this process, and the end of the job's time.
public struct StopRequests: Sendable {
  private let end: Date?
  private let hint: String
  private var job: PackedJob?

  /// - Parameters:
  ///   - end: when the job is ended, finished or not; nil where no end is known.
  ///   - hint: how what was stopped goes on.
  public init(end: Date? = nil, hint: String = "start the same command again to go on") {
    self.end = end
    self.hint = hint
  }

  /// The same requests where groups of ranks work side by side: what asks one of them asks all.
  public func shared(in job: PackedJob) -> StopRequests {
    var requests = self
    requests.job = job
    return requests
  }

  /// From now on SIGUSR1, SIGTERM and SIGINT ask this process to stop, instead of ending it. A second SIGINT does end it: who presses
  /// Ctrl-C twice wants no checkpoint.
  ///
  /// mpirun of Open MPI 4, when it is interrupted or terminated, sends its ranks SIGCONT at once, SIGTERM a second later and SIGKILL after another
  /// (`odls_base_sigkill_timeout`). So SIGCONT from mpirun asks as well. That of Open MPI 5 leaves them half a second in all.
  /// - Parameter launch: whose launcher mpirun is, if there is one.
  public static func listen(_ launch: LaunchEnvironment = .current) {
    for number in [SIGUSR1, SIGTERM, SIGINT] + (launch.isByMPIRun ? [SIGCONT] : []) {
      var action = sigaction()
      action.sa_flags = SA_SIGINFO | SA_RESTART
      action.__sigaction_handler.sa_sigaction = { number, info, _ in
        // A resumed process gets it from whoever stopped it.
        if number == SIGCONT, info?.pointee._sifields._kill.si_pid != getppid() { return }
        if number == SIGINT, received.load(ordering: .relaxed) == SIGINT {
          signal(SIGINT, SIG_DFL)
          raise(SIGINT)
        }
        received.store(number, ordering: .relaxed)
      }
      sigaction(number, &action, nil)
      // A process inherits what the thread that started it had blocked.
      var mask = sigset_t()
      sigemptyset(&mask)
      sigaddset(&mask, number)
      pthread_sigmask(SIG_UNBLOCK, &mask, nil)
    }
  }

  /// Asks whether this process is to stop. The ranks need not get the same answer.
  /// - Parameter reserve: how long before the job's end it must stop to be done in time.
  /// - Throws: `Failure(.stoppedResumable)` where it is, which says why.
  public func check(reserve: Duration) throws {
    try checkAndPassOn(reserve: reserve)
    if let job, try job.isStopWanted() {
      throw Failure(.stoppedResumable, "stopped because another group of ranks was", hint: hint)
    }
  }

  /// Lets the other groups of ranks know where this process is to stop, which itself has nothing left to stop.
  public func passOn() throws {
    do {
      try checkAndPassOn(reserve: .zero)
    } catch let asked as Failure where asked.code == .stoppedResumable {
      return
    }
  }

  private func checkAndPassOn(reserve: Duration) throws {
    do {
      try checkThisProcess(reserve: reserve)
    } catch {
      try job?.stop()
      throw error
    }
  }

  private func checkThisProcess(reserve: Duration) throws {
    let number = received.load(ordering: .relaxed)
    if number != 0 {
      let names = [SIGUSR1: "SIGUSR1", SIGTERM: "SIGTERM", SIGINT: "SIGINT", SIGCONT: "mpirun, which was told to end"]
      throw Failure(.stoppedResumable, "stopped by \(names[number] ?? "signal \(number)")", hint: hint)
    }
    if let end, end.timeIntervalSinceNow < reserve.seconds {
      throw Failure(.stoppedResumable, "stopped before the job's time ends", hint: hint)
    }
  }
}

/// The last signal that asked to stop. All that a signal handler does is to store it.
private let received = Atomic<Int32>(0)
