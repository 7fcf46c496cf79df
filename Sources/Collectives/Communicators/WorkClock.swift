/// Measures what a rank does by itself: the time between two moments without what its communicator takes of it.
package struct WorkClock {
  private let communicator: TimedCommunicator
  private let began = ContinuousClock.now
  private let communicationBegan: Duration
  private var last: ContinuousClock.Instant
  private var communicationLast: Duration

  /// A clock that starts now.
  package init(_ communicator: TimedCommunicator) {
    self.communicator = communicator
    communicationBegan = communicator.time
    (last, communicationLast) = (began, communicationBegan)
  }

  /// What was done since the last call, or since the start.
  package mutating func lap() -> Duration {
    let (now, communication) = (ContinuousClock.now, communicator.time)
    defer { (last, communicationLast) = (now, communication) }
    return now - last - (communication - communicationLast)
  }

  /// From the start to the last call of ``lap()``: all laps, and the communication.
  package var elapsed: Duration { last - began }

  /// What the communicator took of that.
  package var communication: Duration { communicationLast - communicationBegan }
}
