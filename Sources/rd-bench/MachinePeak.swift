import COpenBLAS
import Collectives
import Foundation
import Numerics

extension Report {
  /// Measures what the cores reach in matrix products, which is what shares of the peak refer to. To be
  /// called last, since it takes memory. Collective.
  mutating func measurePeak(on team: ThreadTeam, over communicator: any Communicator = LocalCommunicator()) throws {
    try communicator.barrier()
    peakGflops = try communicator.allGather(values: [try matrixProductGflops(on: team)]).reduce(0, +)
  }
}

/// The best of several runs, in which each thread computes products of its own.
private func matrixProductGflops(on team: ThreadTeam) throws -> Double {
  openblas_set_num_threads(1)
  let (side, products) = (1024, 4)
  let matrices = (0..<team.count).map { _ in
    (a: randomBuffer(side * side), b: randomBuffer(side * side), c: FloatBuffer(side * side))
  }
  func run() throws {
    try team.run(team.count) { item, _ in
      let (a, b, c) = matrices[item]
      for _ in 0..<products {
        cblas_sgemm(
          CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(side), blasint(side), blasint(side), 1, a.pointer,
          blasint(side), b.pointer, blasint(side), 0, c.pointer, blasint(side))
      }
    }
  }
  try run()
  let best = try (0..<20).map { _ in try seconds(run) }.min() ?? .nan
  return 2 * Double(side * side * side * products * team.count) / best / 1e9
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
