/// Memory that grows to the largest need and stays.
final class Scratch<Element: BitwiseCopyable> {
  private var memory = UnsafeMutableBufferPointer<Element>(start: nil, count: 0)

  /// Room for at least one element, with any content.
  func room(for count: Int) -> UnsafeMutablePointer<Element> {
    if let start = memory.baseAddress, memory.count >= count { return start }
    memory.deallocate()
    let start = UnsafeMutablePointer<Element>.allocate(capacity: max(count, 1))
    memory = UnsafeMutableBufferPointer(start: start, count: max(count, 1))
    return start
  }

  deinit { memory.deallocate() }
}
