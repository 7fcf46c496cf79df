/// A queue of numbered tasks that the ranks of a job share: whoever is free takes the next one.
///
/// Each rank has one of these. No method but ``finish(whileWaiting:)`` is collective: a rank calls them when it likes, from one thread at a time. Those that
/// throw throw a `Failure` with the code `.communication`.
public protocol WorkQueue: AnyObject, Sendable {
  /// The next task, which nobody else gets; nil where none is left or somebody has called ``stop()``.
  func take() throws -> Int?

  /// Leaves nothing to take, and lets the other ranks know that they should stop too.
  func stop() throws

  /// Whether somebody has called ``stop()``, as far as this rank knows: it asks once a second at most and never waits for the answer, so that
  /// a loop may call this in every turn.
  func isStopped() throws -> Bool

  /// Waits until all ranks are done with the queue: the last call on every rank. Collective. A rank that has to wait sleeps: others may still
  /// work for hours.
  /// - Parameter whileWaiting: called now and then until then, once at least. It may call ``stop()``, and what it throws is thrown here.
  func finish(whileWaiting: () throws -> Void) throws
}
