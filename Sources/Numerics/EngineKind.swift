import Diagnostics

/// What computes the convolutions.
public enum EngineKind: String, CaseIterable, Sendable {
  /// This project's own kernels.
  case vector
  /// Plain matrix products.
  case openBLAS = "openblas"

  /// - Throws: `Failure(.configuration)` for a precision that the engine has not.
  public func start(on team: ThreadTeam, precision: Precision) throws -> any ConvolutionEngine {
    switch (self, precision) {
    case (.vector, _): return VectorEngine(team: team, precision: precision)
    case (.openBLAS, .fp32): return MatrixProductEngine(team: team)
    case (.openBLAS, .bf16):
      throw Failure(.configuration, "the engine openblas computes in fp32 only", hint: "for bf16 use the engine vector")
    }
  }
}
