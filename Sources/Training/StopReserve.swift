import Jobs

/// How long before its job's end a run must stop: long enough for a checkpoint and for the steps until it begins, as both were measured.
struct StopReserve {
  private let guess: Duration
  private var slowestStep = Duration.zero
  private var slowestCheckpoint: Duration?

  /// - Parameter bytes: the size of a checkpoint, from which its time is guessed until one was written: 50 MB a second.
  init(checkpointBytes bytes: Int) { guess = .seconds(Double(bytes) / 50e6) }

  mutating func note(step: Duration) { slowestStep = max(slowestStep, step) }
  mutating func note(checkpoint: Duration) { slowestCheckpoint = max(slowestCheckpoint ?? .zero, checkpoint) }

  /// Half a checkpoint more than one, since storage is shared, two steps, since the request is heard after one, and five seconds to end.
  var duration: Duration { (slowestCheckpoint ?? guess) * 1.5 + slowestStep * 2 + .seconds(5) }
}
