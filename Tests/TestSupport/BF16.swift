/// A number rounded to bf16, ties to even; the number itself where it is none or infinite.
public func bf16(_ value: Float) -> Float {
  guard value.isFinite else { return value }
  let (lower, step) = (value.bitPattern & 0xFFFF_0000, UInt32(0x1_0000))
  let rest = value.bitPattern & 0xFFFF
  let isUp = rest > 0x8000 || rest == 0x8000 && lower & step != 0
  return Float(bitPattern: isUp ? lower + step : lower)
}
