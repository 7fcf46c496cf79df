import Diagnostics
import Testing
import collectives_probe

@testable import Collectives

@Suite struct ReductionTests {
  /// One process that adds up the tree as its definition says.
  private func expected(shards: Int, sumCount: Int, gradientCount: Int) -> Reductions {
    let sums = (0..<shards).map { partialSums(of: $0, count: sumCount) }
    let gradients = (0..<shards).map { partialGradients(of: $0, count: gradientCount) }
    return Reductions(
      sums: treeSum(sums) { zip($0, $1).map(+) }, gradients: treeSum(gradients) { zip($0, $1).map(+) })
  }

  @Test(arguments: 1...13)
  func everyNumberOfRanksGivesTheBitsOfTheTree(shards: Int) throws {
    let counts = (sum: 19, gradient: 2_500)
    let expected = expected(shards: shards, sumCount: counts.sum, gradientCount: counts.gradient)
    for ranks in 1...min(shards, 8) {
      // Scratch for less than a rank's range, and for more.
      for scratchBytes in [3_000, 1 << 20] {
        let results = try LocalCommunicator.run(size: ranks) {
          try reductions(
            shards: shards, sumCount: counts.sum, gradientCount: counts.gradient, scratchBytes: scratchBytes, over: $0)
        }
        #expect(results.count == ranks)
        #expect(results.allSatisfy { $0 == expected })
      }
    }
  }

  /// If this fails, the test above proves nothing about the order.
  @Test func anotherOrderOfAdditionsWouldShow() {
    let gradients = (0..<8).map { partialGradients(of: $0, count: 2_500) }
    let inSequence = gradients.dropFirst().reduce(gradients[0]) { zip($0, $1).map(+) }
    #expect(inSequence != expected(shards: 8, sumCount: 1, gradientCount: 2_500).gradients)
  }

  @Test(arguments: [0, 1, 15, 16, 17, 100, 129])
  func smallArraysLeaveSomeRanksWithNothing(gradientCount: Int) throws {
    let expected = expected(shards: 8, sumCount: 1, gradientCount: gradientCount)
    for ranks in [1, 3, 8] {
      let results = try LocalCommunicator.run(size: ranks) {
        try reductions(shards: 8, sumCount: 1, gradientCount: gradientCount, scratchBytes: 1 << 20, over: $0)
      }
      #expect(results.allSatisfy { $0 == expected })
    }
  }

  @Test(arguments: [1, 2, 3, 8])
  func sumMayBeTheOwnRangeOfTheNodes(ranks: Int) throws {
    let count = 1_000
    let expected = expected(shards: 8, sumCount: 1, gradientCount: count).gradients
    let matches = try LocalCommunicator.run(size: ranks) { communicator in
      let tree = try ShardTree(shards: 8, ranks: communicator.size)
      let nodes = tree.nodes(of: communicator.rank)
      var values = nodes.flatMap { node in
        treeSum(node.shards.map { partialGradients(of: $0, count: count) }) { zip($0, $1).map(+) }
      }
      let reduction = GradientReduction(count: count, tree: tree, over: communicator, scratchBytes: 3_000)
      let own = reduction.own
      // The last node's place, not the first's: any of them will do.
      let place = (nodes.count - 1) * count + own.lowerBound
      try values.withUnsafeMutableBufferPointer { values in
        guard let start = values.baseAddress else { return }
        try reduction.reduceScatter(nodes: start, into: start + place)
      }
      return Array(values[place..<place + own.count]) == Array(expected[own])
    }
    #expect(matches.allSatisfy { $0 })
  }

  /// Parts that begin and end within the ranks' ranges, go over several, and are empty.
  @Test(arguments: [1, 2, 3, 8])
  func partsAreGatheredOnRankZeroAndDealtOutFromThere(ranks: Int) throws {
    try LocalCommunicator.run(size: ranks) { communicator in
      let isRoot = communicator.rank == 0
      let tree = try ShardTree(shards: 8, ranks: communicator.size)
      let reduction = GradientReduction(count: 1_000, tree: tree, over: communicator)
      let values = reduction.own.map(Float.init)
      for part in [0..<1_000, 0..<0, 0..<1, 15..<17, 100..<900, 990..<1_000] {
        var gathered = [Float](repeating: -1, count: isRoot ? part.count : 0)
        try gathered.withUnsafeMutableBufferPointer { try reduction.gather(part, own: values, into: $0) }
        #expect(gathered == (isRoot ? part.map(Float.init) : []))
        var own = [Float](repeating: -1, count: values.count)
        try gathered.withUnsafeBufferPointer { try reduction.scatter(part, from: $0, own: &own) }
        #expect(own == reduction.own.map { part.contains($0) ? Float($0) : -1 })
      }
    }
  }

  @Test func rangesAreConsecutiveAlignedAndNearlyEqual() throws {
    for (count, ranks) in [(1_000_003, 7), (16, 3), (1_600, 8), (5, 2)] {
      let ranges = try LocalCommunicator.run(size: ranks) {
        GradientReduction(count: count, tree: try ShardTree(shards: ranks, ranks: ranks), over: $0).ranges
      }[0]
      #expect(ranges.first?.lowerBound == 0 && ranges.last?.upperBound == count)
      #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
      #expect(ranges.allSatisfy { $0.lowerBound % 16 == 0 || $0.isEmpty })
      let sizes = ranges.map(\.count)
      #expect((sizes.max() ?? 0) - (sizes.min() ?? 0) <= 16)
    }
  }

  @Test func scratchIsReused() throws {
    let tree = try ShardTree(shards: 4, ranks: 1)
    let reduction = ShardReduction(tree: tree, over: LocalCommunicator())
    for count in [3, 50, 2] {
      var sums = [Double](repeating: .nan, count: count)
      try reduction.allReduce(
        (0..<4).flatMap { partialSums(of: $0, count: count) }, valuesPerShard: count, into: &sums)
      #expect(sums == expected(shards: 4, sumCount: count, gradientCount: 1).sums)
    }
  }
}
