import Diagnostics
import Testing

@testable import Collectives

/// The definition of the tree's sum, in the plainest words: halves of a power of two, as far as they exist.
func treeSum<Value>(_ shards: [Value], _ merge: (Value, Value) -> Value) -> Value {
  var width = 1
  while width < shards.count { width *= 2 }
  func sum(_ start: Int, _ width: Int) -> Value? {
    guard start < shards.count else { return nil }
    guard width > 1 else { return shards[start] }
    let left = sum(start, width / 2)
    let right = sum(start + width / 2, width / 2)
    guard let left, let right else { return left }
    return merge(left, right)
  }
  return sum(0, width) ?? shards[0]
}

@Suite struct ShardTreeTests {
  @Test(arguments: 1...13)
  func everyShardHasOneRankAndSharesDifferByOne(shards: Int) throws {
    for ranks in 1...shards {
      let tree = try ShardTree(shards: shards, ranks: ranks)
      let owned = (0..<ranks).map(tree.shards(of:))
      #expect(owned.flatMap { Array($0) } == Array(0..<shards))
      #expect(owned.allSatisfy { [shards / ranks, (shards + ranks - 1) / ranks].contains($0.count) })
      for rank in 0..<ranks {
        let nodes = tree.nodes(of: rank)
        #expect(nodes.flatMap { Array($0.shards) } == Array(owned[rank]))
      }
    }
  }

  @Test func nodesAreTheLargestInsideARanksShards() throws {
    func nodes(_ shards: Int, _ ranks: Int) throws -> [[Range<Int>]] {
      let tree = try ShardTree(shards: shards, ranks: ranks)
      return (0..<ranks).map { tree.nodes(of: $0).map(\.shards) }
    }
    #expect(try nodes(8, 1) == [[0..<8]])
    #expect(try nodes(8, 2) == [[0..<4], [4..<8]])
    #expect(try nodes(8, 3) == [[0..<2], [2..<4, 4..<5], [5..<6, 6..<8]])
    #expect(try nodes(6, 2) == [[0..<2, 2..<3], [3..<4, 4..<6]])
    #expect(try nodes(5, 1) == [[0..<5]])
    #expect(try nodes(1, 1) == [[0..<1]])
  }

  @Test(arguments: [(3, 4), (8, 9), (0, 1), (8, 0)])
  func rejectsMoreRanksThanShardsAndNone(shards: Int, ranks: Int) {
    #expect { try ShardTree(shards: shards, ranks: ranks) } throws: { ($0 as? Failure)?.code == .usage }
  }

  @Test(arguments: 1...13)
  func theOrderOfAdditionsIsTheTreesForEveryNumberOfRanks(shards: Int) throws {
    let names = (0..<shards).map(String.init)
    let expected = treeSum(names) { "(\($0)+\($1))" }
    for ranks in 1...shards {
      let tree = try ShardTree(shards: shards, ranks: ranks)
      var nodes: [String] = []
      for rank in 0..<ranks {
        var values = Array(names[tree.shards(of: rank)])
        for addition in tree.additionsToNodes(of: rank) {
          values[addition.target] = "(\(values[addition.target])+\(values[addition.source]))"
        }
        let first = tree.shards(of: rank).lowerBound
        nodes += tree.nodes(of: rank).map { values[$0.shards.lowerBound - first] }
      }
      for addition in tree.additionsToRoot {
        nodes[addition.target] = "(\(nodes[addition.target])+\(nodes[addition.source]))"
      }
      #expect(nodes[0] == expected)
    }
  }

  @Test(arguments: 1...13)
  func accumulatorVisitsEveryShardOnceAndAddsInTreeOrder(shards: Int) throws {
    for ranks in 1...shards {
      let tree = try ShardTree(shards: shards, ranks: ranks)
      for rank in 0..<ranks {
        let accumulator = ShardAccumulator(tree: tree, rank: rank)
        let (count, stride) = (5, 7)
        var visited: [Int] = []
        // A guard element behind the scratch and between the nodes must stay as it is.
        var scratch = [Float](repeating: -1, count: accumulator.scratchBuffers * count + 1)
        var result = [Float](repeating: -1, count: accumulator.nodes.count * stride)
        func partial(_ shard: Int) -> [Float] { (0..<count).map { 1 / Float(shard * count + $0 + 1) } }
        // Every third shard's result lies elsewhere already.
        let elsewhere = UnsafeMutablePointer<Float>.allocate(capacity: shards * count)
        defer { elsewhere.deallocate() }
        accumulator.accumulate(count: count, scratch: &scratch, into: &result, stride: stride) { shard, room in
          visited.append(shard)
          let target = shard % 3 == 0 ? elsewhere + shard * count : room
          target.update(from: partial(shard), count: count)
          return UnsafePointer(target)
        }
        #expect(visited == Array(tree.shards(of: rank)))
        #expect(scratch.last == -1)
        for (index, node) in tree.nodes(of: rank).enumerated() {
          let expected = (0..<count).map { element in treeSum(node.shards.map { partial($0)[element] }, +) }
          #expect(Array(result[index * stride..<(index + 1) * stride]) == expected + [-1, -1])
        }
      }
    }
  }
}
