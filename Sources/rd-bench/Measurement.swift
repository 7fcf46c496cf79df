import Diagnostics
import Numerics

/// The seconds that `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  let start = ContinuousClock.now
  try body()
  return (ContinuousClock.now - start).seconds
}

/// Memory with numbers between -1 and 1 in it, the same in every run.
func randomBuffer(_ count: Int, seed: UInt32 = 1) -> FloatBuffer {
  let buffer = FloatBuffer(count)
  var state = seed
  for index in 0..<count {
    state = state &* 1_664_525 &+ 1_013_904_223
    buffer.pointer[index] = Float(Int32(bitPattern: state)) / 0x1p31
  }
  return buffer
}
