import Collectives
import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Metrics

/// A test set of random images.
private struct RandomSet {
  let images: [ScoredImage]
  let width: Int
  let height: Int
  let kinds: [String]

  /// - Parameter levels: how many different scores there may be; nil for as many as fall.
  init(seed: UInt64, levels: Int?) {
    var random = SeededGenerator(seed: seed)
    let (width, height) = (Int.random(in: 1...9, using: &random), Int.random(in: 1...9, using: &random))
    let kinds = (0..<Int.random(in: 0...3, using: &random)).map { "kind \($0)" }
    images = (["good"] + kinds).flatMap { kind in
      (0..<Int.random(in: 0...5, using: &random)).map { _ in
        let map = (0..<width * height).map { _ in
          let score = Float.random(in: -1..<3, using: &random)
          return levels.map { (score * Float($0) / 4).rounded() } ?? score
        }
        let mask = map.map { _ in Int.random(in: 0..<4, using: &random) == 0 }
        let isKnown = Int.random(in: 0..<6, using: &random) > 0
        return ScoredImage(
          score: Double(map.max() ?? 0), defect: kind == "good" ? nil : kind, map: map,
          mask: kind != "good" && isKnown ? mask : nil)
      }
    }
    self.kinds = Set(images.compactMap(\.defect)).sorted()
    (self.width, self.height) = (width, height)
  }

  /// The metrics of all pixels in memory.
  func expected() throws -> [PixelMetrics?] {
    try ([nil] + kinds).map { kind in
      let chosen = images.filter { image in
        image.defect == nil || image.mask != nil && (kind == nil || image.defect == kind)
      }
      return try PixelMetrics(
        maps: chosen.map(\.map), masks: chosen.map { $0.mask ?? $0.map.map { _ in false } }, width: width,
        height: height)
    }
  }

  /// The same from ranks with their shares of the images in consecutive order.
  func metrics(ranks: Int, memory: Int) throws -> [[PixelMetrics?]] {
    try LocalCommunicator.run(size: ranks) { communicator in
      let store = try PixelStore(
        width: width, height: height, parts: kinds.count + 1, memory: memory,
        folder: FileManager.default.temporaryDirectory.path)
      let own = images.count * communicator.rank / ranks..<images.count * (communicator.rank + 1) / ranks
      for image in images[own] where image.defect == nil || image.mask != nil {
        let part = image.defect.flatMap(kinds.firstIndex(of:)).map { $0 + 1 } ?? 0
        try store.add(map: image.map, mask: image.mask, part: part)
      }
      return try store.metrics(over: communicator)
    }
  }
}

private func expectSame(_ metrics: PixelMetrics?, _ expected: PixelMetrics?, _ comment: Comment) {
  #expect((metrics == nil) == (expected == nil), comment)
  guard let metrics, let expected else { return }
  #expect(metrics.auroc == expected.auroc, comment)
  #expect(metrics.averagePrecision == expected.averagePrecision, comment)
  #expect(metrics.aupro == expected.aupro, comment)
  #expect(metrics.regions == expected.regions, comment)
  #expect(metrics.roc == expected.roc, comment)
  #expect(metrics.pro == expected.pro, comment)
  #expect(metrics.precisionRecall == expected.precisionRecall, comment)
}

@Suite struct PixelStoreTests {
  /// Two scores in all, few, many. Memory for a pixel, so that every key is a tie that does not fit, for some, and for all, so that nothing is cut.
  @Test(arguments: [2, 12, nil], [8, 100, 900, 1 << 20])
  func anyMemoryAndAnyNumberOfRanksGiveTheSameBits(levels: Int?, memory: Int) throws {
    var measured = 0
    for seed in 0..<10 as Range<UInt64> {
      let set = RandomSet(seed: seed, levels: levels)
      let expected = try set.expected()
      measured += expected.count { $0 != nil }
      for ranks in 1...5 {
        for metrics in try set.metrics(ranks: ranks, memory: memory) {
          #expect(metrics.count == expected.count)
          for (part, (metrics, expected)) in zip(metrics, expected).enumerated() {
            expectSame(metrics, expected, "seed \(seed), \(ranks) ranks, part \(part)")
          }
        }
      }
    }
    #expect(measured > 10)
  }

  @Test func keysAreCutWhereTheyFit() throws {
    // A score that many pixels have, between two that are next to each other and others farther away.
    let scores: [Float] = [4, Float(1).nextUp, 1, 1, 1, 1, 1, 1, 1, Float(1).nextDown, 0.5, 0.25]
    let store = try PixelStore(
      width: scores.count, height: 1, parts: 1, memory: 64, folder: FileManager.default.temporaryDirectory.path)
    try store.add(map: scores, mask: nil, part: 0)
    try store.spill()
    let alone = LocalCommunicator()
    let ranges = try KeyRange.all(of: store, capacity: 12, over: alone)
    #expect(ranges.map(\.bytes) == [8, 28, 12])
    #expect(ranges.map(\.ownBytes) == ranges.map(\.bytes))
    #expect(ranges[1].first == ranges[1].last && ranges[1].first == ~Float(1).orderedBits)
    #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.last < $1.first })
    let rounds = try KeyRange.rounds(ranges, capacity: 12, over: alone)
    #expect(rounds.map(\.count) == [1, 1, 1])
    let tie = try store.takeTie(of: ranges[1].first)
    // The pixels above have not been taken before: they are passed over with those of the score.
    #expect(tie.background == [9])
  }

  /// One rank has all of the high scores: what it sends in a round must fit as well.
  @Test func aRoundSendsNoMoreThanFits() throws {
    let capacity = 64
    let rounds = try LocalCommunicator.run(size: 4) { communicator in
      let store = try PixelStore(
        width: 64, height: 1, parts: 1, memory: 2 * capacity, folder: FileManager.default.temporaryDirectory.path)
      let high: Float = communicator.rank == 2 ? 100 : 0
      try store.add(map: (0..<64).map { high + Float($0) / 64 }, mask: nil, part: 0)
      try store.spill()
      let ranges = try KeyRange.all(of: store, capacity: capacity, over: communicator)
      #expect(ranges.allSatisfy { $0.bytes <= capacity } && ranges.reduce(0) { $0 + $1.bytes } == 4 * 64 * 4)
      let rounds = try KeyRange.rounds(ranges, capacity: capacity, over: communicator)
      #expect(rounds.allSatisfy { $0.reduce(0) { $0 + $1.ownBytes } <= capacity })
      return rounds.map(\.count)
    }
    #expect(rounds.allSatisfy { $0 == rounds[0] })
    #expect(rounds[0].prefix(3).allSatisfy { $0 == 1 } && rounds[0].contains { $0 > 1 })
  }

  @Test func nothingIsLeftInTheFolder() throws {
    let folder = try TemporaryFolder()
    let store = try PixelStore(width: 2, height: 1, parts: 1, memory: 4, folder: folder.path)
    try store.add(map: [1, 2], mask: [true, false], part: 0)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    #expect(try store.metrics(over: LocalCommunicator())[0]?.auroc == 0)
    let failure = expectError(Failure.self) {
      _ = try PixelStore(width: 2, height: 1, parts: 1, memory: 4, folder: folder("nowhere"))
    }
    #expect(failure?.code == .inputOutput && failure?.message.contains("nowhere") == true)
  }

  @Test func badScoresAndLimitsAreRejected() throws {
    let store = try PixelStore(
      width: 2, height: 1, parts: 1, memory: 1 << 20, folder: FileManager.default.temporaryDirectory.path)
    #expect(throws: Failure.self) { try store.add(map: [1, .nan], mask: nil, part: 0) }
    #expect(throws: Failure.self) { try store.add(map: [1], mask: nil, part: 0) }
    #expect(throws: Failure.self) { _ = try store.metrics(over: LocalCommunicator(), fprLimit: 0) }
    #expect(try store.metrics(over: LocalCommunicator()).map { $0 == nil } == [true])
  }
}
