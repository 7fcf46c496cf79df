import CVectorKernels

/// Instructions, by the names that they have in Swift.
enum Level: Int32, CaseIterable, Sendable {
  case portable, avx2, avx512, avx512WithBF16, amx

  /// Those of this machine.
  static let available = allCases.filter { $0.rawValue <= rd_best_instructions() }
}

/// Columns of a panel.
let panel = Int(RD_PANEL)

/// How many panels a matrix takes.
func panels(_ columns: Int) -> Int { (columns + panel - 1) / panel }

/// A number rounded to bf16, ties to even; the number itself where it is none or infinite.
func bf16(_ value: Float) -> Float {
  guard value.isFinite else { return value }
  let (lower, step) = (value.bitPattern & 0xFFFF_0000, UInt32(0x1_0000))
  let rest = value.bitPattern & 0xFFFF
  let isUp = rest > 0x8000 || rest == 0x8000 && lower & step != 0
  return Float(bitPattern: isUp ? lower + step : lower)
}

/// Two numbers as a pair of bf16, the first in the lower half.
func pair(_ first: Float, _ second: Float) -> UInt32 {
  bf16(first).bitPattern >> 16 | bf16(second).bitPattern & 0xFFFF_0000
}

extension [Float] {
  var bits: [UInt32] { map(\.bitPattern) }
}
