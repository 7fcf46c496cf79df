import Synchronization
import Testing

/// What the tests of a suite share: the first that asks makes it, and it goes with the last of them, as folders of runs take much of a disk.
public final class Shared<Value: Sendable>: SuiteTrait {
  private let make: @Sendable () throws -> Value
  private let made = Mutex<Result<Value, any Error>?>(nil)

  public init(_ make: @escaping @Sendable () throws -> Value) { self.make = make }

  /// - Throws: what making it threw, each time.
  public func get() throws -> Value {
    try made.withLock { made in
      let result = made ?? Result(catching: make)
      made = result
      return try result.get()
    }
  }

  fileprivate func release() { made.withLock { $0 = nil } }
}

// Under Swift 6.0 it stays until the process ends.
#if compiler(>=6.1)
  extension Shared: TestScoping {
    public func provideScope(
      for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
      defer { release() }
      try await function()
    }
  }
#endif
