/// Memory for floats, aligned to cache lines, zero at first.
public final class FloatBuffer: @unchecked Sendable {
  public private(set) var count: Int
  public private(set) var pointer: UnsafeMutablePointer<Float>

  public init(_ count: Int = 0) {
    self.count = count
    pointer = Self.allocate(count)
  }

  public convenience init(_ values: [Float]) {
    self.init(values.count)
    values.withUnsafeBufferPointer { if let start = $0.baseAddress { pointer.update(from: start, count: count) } }
  }

  deinit { UnsafeMutableRawPointer(pointer).deallocate() }

  /// Makes sure that there is room for `count` floats. Where there was not, the memory moves and is zero.
  public func grow(to count: Int) {
    guard count > self.count else { return }
    UnsafeMutableRawPointer(pointer).deallocate()
    pointer = Self.allocate(count)
    self.count = count
  }

  public var values: [Float] { Array(UnsafeBufferPointer(start: pointer, count: count)) }

  private static func allocate(_ count: Int) -> UnsafeMutablePointer<Float> {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1) * MemoryLayout<Float>.stride, alignment: 64)
    let pointer = memory.bindMemory(to: Float.self, capacity: max(count, 1))
    pointer.initialize(repeating: 0, count: count)
    return pointer
  }
}
