/// What a convolution's factors are rounded to, and what feature maps are stored in. Sums are in single precision in either case.
public enum Precision: String, CaseIterable, Sendable {
  case fp32
  /// Eight bits of mantissa: faster where the processor multiplies them at more than single precision's rate (AMX, or AMD's AVX512_BF16).
  case bf16

  /// As the kernels are told it.
  package var bf16Flag: Int32 { self == .bf16 ? 1 : 0 }

  /// Floats' places that `count` values take in memory, an even number of them.
  public func words(_ count: Int) -> Int {
    assert(self == .fp32 || count % 2 == 0)
    return self == .bf16 ? count / 2 : count
  }
}
