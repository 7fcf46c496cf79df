import Synchronization

/// Counts the bytes of the buffers that are made for one purpose.
public final class MemoryAccount: Sendable {
  /// Where a new ``FloatBuffer`` is counted.
  @TaskLocal static var current: MemoryAccount?

  private let total = Atomic<Int>(0)

  public init() {}

  /// What the buffers have now.
  public var bytes: Int { total.load(ordering: .relaxed) }

  /// Counts the buffers that `body` makes, for as long as they exist, and whoever makes them grow.
  public func counting<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Self.$current.withValue(self, operation: body)
  }

  func add(_ bytes: Int) { total.add(bytes, ordering: .relaxed) }
}
