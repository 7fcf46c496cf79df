import Collectives
import Foundation
import Jobs
import Numerics

/// The seconds that `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  let start = ContinuousClock.now
  try body()
  return (ContinuousClock.now - start).seconds
}

/// Memory with numbers between -1 and 1 in it, the same in every run.
func randomBuffer(_ count: Int) -> FloatBuffer {
  let buffer = FloatBuffer(count)
  var state: UInt32 = 1
  for index in 0..<count {
    state = state &* 1_664_525 &+ 1_013_904_223
    buffer.pointer[index] = Float(Int32(bitPattern: state)) / 0x1p31
  }
  return buffer
}

extension Communicator {
  /// Every rank's value, on all ranks. Collective.
  func gathered(_ value: Double) throws -> [Double] {
    let bytes = withUnsafeBytes(of: value.bitPattern) { Array($0) }
    return try allGather(bytes).map { $0.withUnsafeBytes { Double(bitPattern: $0.loadUnaligned(as: UInt64.self)) } }
  }
}

/// The most memory that this process has had, in bytes.
func peakMemory() throws -> Int {
  let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
  let kibibytes = status.firstMatch(of: /VmHWM:\s+(\d+) kB/).flatMap { Int($0.1) }
  return (kibibytes ?? 0) * 1024
}
