import Collectives
import Diagnostics
import FileSystem
import Foundation
import Jobs

/// Where the time of a run's first steps goes on every rank, as a trace that Perfetto and chrome://tracing show.
final class StepTrace {
  /// As many as show what repeats itself, and what does not.
  static let steps = 10

  /// An event of Chrome's trace format. Times are in microseconds.
  private struct Event: Codable {
    let name: String
    let cat: String
    /// X is something with a duration, M the name of a process.
    let ph: String
    let ts: Double
    let dur: Double
    let pid: Int
    let tid: Int
    let args: [String: String]
  }

  private struct Trace: Encodable {
    let displayTimeUnit = "ms"
    let traceEvents: [Event]
  }

  private let path: String
  private let communicator: TimedCommunicator
  private let origin: ContinuousClock.Instant
  private var stepBegan: ContinuousClock.Instant
  private var phaseBegan: ContinuousClock.Instant
  private var events: [Event] = []
  private var count = 0
  /// Whether all steps that are wanted have been seen.
  var isFull: Bool { count == Self.steps }

  /// The ranks begin to count their time together. Collective.
  init(_ path: String, over communicator: TimedCommunicator) throws {
    self.path = path
    self.communicator = communicator
    try communicator.barrier()
    origin = .now
    (stepBegan, phaseBegan) = (origin, origin)
    let name = "rank \(communicator.rankInJob) on \(LaunchEnvironment.hostName)"
    events.append(
      Event(
        name: "process_name", cat: "", ph: "M", ts: 0, dur: 0, pid: communicator.rankInJob, tid: 0, args: ["name": name]
      ))
    communicator.observer = { [unowned self] name, start in add(name, "communication", from: start) }
  }

  func beginStep() {
    stepBegan = .now
    phaseBegan = stepBegan
  }

  /// What has been done since the phase before ended.
  func end(_ phase: String) {
    add(phase, "phase", from: phaseBegan)
    phaseBegan = .now
  }

  func end(step: Int) {
    add("step \(step)", "step", from: stepBegan)
    count += 1
  }

  /// Rank 0 writes what all have seen. Collective; the last call.
  /// - Throws: on all ranks the same `Failure(.inputOutput)` where the file cannot be written.
  func finish() throws {
    communicator.observer = nil
    let all = try communicator.allGather(coded: events)
    try communicator.agree {
      guard communicator.rank == 0 else { return }
      try makeFolder(folder(of: path))
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      try writeFile(path, bytes: Array(encoder.encode(Trace(traceEvents: all))))
    }
  }

  private func add(_ name: String, _ category: String, from start: ContinuousClock.Instant) {
    let duration = ContinuousClock.now - start
    events.append(
      Event(
        name: name, cat: category, ph: "X", ts: (start - origin).seconds * 1e6, dur: duration.seconds * 1e6,
        pid: communicator.rankInJob, tid: 0, args: [:]))
  }
}
