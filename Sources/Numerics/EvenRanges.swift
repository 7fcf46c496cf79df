/// Part `part` of `0 ..< count` in `parts` nearly equal ranges.
public func evenRange(_ part: Int, of parts: Int, count: Int) -> Range<Int> {
  count * part / parts..<count * (part + 1) / parts
}

/// How many parts of at most `size` make up `count`.
func parts(of count: Int, size: Int) -> Int { (count + size - 1) / size }
