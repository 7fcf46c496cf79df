import CVectorKernels
import TestSupport

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

/// Two numbers as a pair of bf16, the first in the lower half.
func pair(_ first: Float, _ second: Float) -> UInt32 {
  bf16(first).bitPattern >> 16 | bf16(second).bitPattern & 0xFFFF_0000
}

extension [Float] {
  var bits: [UInt32] { map(\.bitPattern) }
}

/// Numbers in memory, as they are or what is left of them in bf16. It is not given back: addresses outlive what they were taken from.
struct StoredMap {
  let isBF16: Int32
  private let memory: UnsafeMutableRawBufferPointer
  var start: UnsafeMutableRawPointer { memory.baseAddress! }

  init(_ values: some Collection<Float>) {
    isBF16 = 0
    memory = .allocate(byteCount: 4 * values.count, alignment: 64)
    memory.copyBytes(from: Array(values).bits.flatMap { bits in (0..<4).map { UInt8(bits >> (8 * $0) & 0xFF) } })
  }

  init(halvesOf values: some Collection<Float>) {
    isBF16 = 1
    memory = .allocate(byteCount: 2 * values.count, alignment: 64)
    memory.copyBytes(from: values.flatMap { [UInt8(Self.half($0) & 0xFF), UInt8(Self.half($0) >> 8)] })
  }

  func halves(_ count: Int) -> [UInt16] { (0..<count).map { memory.load(fromByteOffset: 2 * $0, as: UInt16.self) } }

  func floats(_ count: Int) -> [Float] { (0..<count).map { memory.load(fromByteOffset: 4 * $0, as: Float.self) } }

  /// A number in bf16.
  static func half(_ value: Float) -> UInt16 { UInt16(bf16(value).bitPattern >> 16) }
}
