import Diagnostics
import Foundation

/// Memory for floats, aligned to cache lines, zero at first.
///
/// Large buffers are pages, large ones, that the system has promised: they take memory when they are touched for the first time.
public final class FloatBuffer: @unchecked Sendable {
  public private(set) var count: Int
  public private(set) var pointer: UnsafeMutablePointer<Float>
  /// What was allocated; `pointer` is the first aligned place in it.
  private var memory: UnsafeMutableRawPointer
  private let account = MemoryAccount.current

  public init(_ count: Int = 0) {
    self.count = count
    (memory, pointer) = Self.allocate(count)
    account?.add(bytes)
  }

  public convenience init(_ values: [Float]) {
    self.init(values.count)
    values.withUnsafeBufferPointer { if let start = $0.baseAddress { pointer.update(from: start, count: count) } }
  }

  deinit {
    free(memory)
    account?.add(-bytes)
  }

  /// Makes sure that there is room for `count` floats. Where there was not, the memory moves and is zero.
  public func grow(to count: Int) {
    guard count > self.count else { return }
    free(memory)
    account?.add(-bytes)
    self.count = count
    (memory, pointer) = Self.allocate(count)
    account?.add(bytes)
  }

  public var bytes: Int { count * MemoryLayout<Float>.stride }

  public var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  private static let largePage = 2 << 20

  private static func allocate(_ count: Int) -> (UnsafeMutableRawPointer, UnsafeMutablePointer<Float>) {
    let (alignment, bytes) = (64, max(count, 1) * MemoryLayout<Float>.stride)
    guard let memory = calloc(1, bytes + alignment) else {
      // No caller could go on without it.
      let failure = Failure(
        .noMemory, "no memory for \(bytes >> 20) MiB, with the limits of this process",
        hint:
          "smaller images, fewer of them in a step, or more ranks on more hosts; rd-train --plan says what a run takes"
      )
      sayAsError("\(ProcessInfo.processInfo.processName) on host \(ProcessInfo.processInfo.hostName): \(failure)")
      exit(failure.code.rawValue)
    }
    // Of large pages, where the system has them, the processor knows the places of more.
    let page = Int(getpagesize())
    if bytes >= largePage { madvise(memory.alignedDown(toMultipleOf: page), bytes, MADV_HUGEPAGE) }
    let start = memory.alignedUp(toMultipleOf: alignment)
    return (memory, start.bindMemory(to: Float.self, capacity: max(count, 1)))
  }
}
