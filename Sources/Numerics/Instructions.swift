import CVectorKernels

/// The processor's instructions that products are computed with. Those of 256 and 512 bits give the same bits, but for the last
/// two in bf16.
public enum Instructions: Int, CaseIterable, Comparable, CustomStringConvertible, Sendable {
  case portable, avx2, avx512, avx512WithBF16, amx

  /// The most that the processor has.
  public static var best: Instructions { Instructions(rawValue: Int(rd_best_instructions())) ?? .portable }

  public static func < (left: Instructions, right: Instructions) -> Bool { left.rawValue < right.rawValue }

  public var description: String {
    switch self {
    case .portable: "portable instructions"
    case .avx2: "AVX2"
    case .avx512: "AVX-512"
    case .avx512WithBF16: "AVX-512 with bf16"
    case .amx: "AVX-512, and AMX for bf16"
    }
  }

  var code: Int32 { Int32(rawValue) }
}
