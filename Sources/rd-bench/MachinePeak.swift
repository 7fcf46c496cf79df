import COpenBLAS
import CVectorKernels
import Collectives
import Foundation
import Numerics

extension Report {
  /// Measures what the cores reach in matrix products, which is what shares of the peak refer to. To be
  /// called last, since it takes memory. Collective.
  mutating func measurePeak(on team: ThreadTeam, over communicator: any Communicator = LocalCommunicator()) throws {
    openblas_set_num_threads(1)
    let instructions = Int32(Instructions.best.rawValue)
    let openBLAS = try matrixProductGflops(on: team, over: communicator) { side, a, b, c in
      cblas_sgemm(
        CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(side), blasint(side), blasint(side), 1, a, blasint(side), b,
        blasint(side), 0, c, blasint(side))
    }
    // An OpenBLAS that is older than the processor may take it for a much older one.
    let own = try matrixProductGflops(on: team, over: communicator) { side, a, b, c in
      rd_multiply_panels(instructions, 0, a, side, 1, b, side * Int(RD_PANEL), side, side, side, c, side, 0, nil)
    }
    peakGflops = max(openBLAS, own)
    peakSource =
      openBLAS >= own ? "OpenBLAS's, which computes with \(String(cString: openblas_get_corename()))" : "our own"
  }
}

/// The best of several runs, in which each thread computes products of its own, of all ranks together.
/// - Parameter multiply: a product of matrices of the given side: the third of the first two.
private func matrixProductGflops(
  on team: ThreadTeam, over communicator: any Communicator,
  _ multiply:
    @escaping @Sendable (
      _ side: Int, UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>
    ) -> Void
) throws -> Double {
  try communicator.barrier()
  let (side, products) = (1024, 4)
  let matrices = (0..<team.count).map { _ in
    (a: randomBuffer(side * side), b: randomBuffer(side * side), c: FloatBuffer(side * side))
  }
  func run() throws {
    try team.run(team.count) { item, _ in
      let (a, b, c) = matrices[item]
      for _ in 0..<products { multiply(side, a.pointer, b.pointer, c.pointer) }
    }
  }
  try run()
  let best = try (0..<20).map { _ in try seconds(run) }.min() ?? .nan
  let own = 2 * Double(side * side * side * products * team.count) / best / 1e9
  return try communicator.allGather(values: [own]).reduce(0, +)
}

/// Bytes read and written, where all threads copy memory that no cache holds: the best of several runs.
func measureCopyBandwidth(on team: ThreadTeam) throws -> Double {
  let count = 1 << 26
  let (source, target) = (FloatBuffer(count), FloatBuffer(count))
  func run() throws {
    try team.run(team.count) { part, _ in
      let range = evenRange(part, of: team.count, count: count)
      memcpy(
        target.pointer + range.lowerBound, source.pointer + range.lowerBound, range.count * MemoryLayout<Float>.stride)
    }
  }
  try run()
  let best = try (0..<20).map { _ in try seconds(run) }.min() ?? .nan
  return 2 * Double(count * MemoryLayout<Float>.stride) / best / 1e9
}
