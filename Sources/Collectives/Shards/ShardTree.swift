import Diagnostics

/// Which rank owns which logical shards, and the one order in which whatever crosses shards is added.
///
/// The tree stands over the shard indices `0 ..< shards`: the node at level `l` and index `i` covers the shards
/// `i * 2^l ..< (i + 1) * 2^l` as far as they exist; its value is that of its left child plus that of its right child, or the left child's
/// alone where there is no right one. The additions depend on the number of shards only, so every number of ranks gives the same bits.
public struct ShardTree: Sendable {
  /// A node of the tree.
  public struct Node: Sendable, Hashable {
    /// 0 for a single shard; a node of level `l` covers at most `2^l` shards.
    public let level: Int
    /// The shards that the node covers.
    public let shards: Range<Int>
  }

  /// `target += source`, between numbered values.
  struct Addition: Sendable, Equatable {
    let target: Int
    let source: Int
  }

  /// How many logical shards there are.
  public let shards: Int
  /// How many ranks share them.
  public let ranks: Int
  /// The additions that make the root out of the nodes of all ranks, numbered in rank order; the sum ends in number 0.
  let additionsToRoot: [Addition]
  /// The nodes of each rank.
  private let nodesByRank: [[Node]]

  /// - Throws: `Failure(.usage)` if there are more ranks than shards, or none.
  public init(shards: Int, ranks: Int) throws {
    guard shards > 0, ranks > 0 else {
      throw Failure(.usage, "\(shards) logical shards on \(ranks) ranks: both must be at least 1")
    }
    guard ranks <= shards else {
      throw Failure(
        .usage, "\(ranks) ranks cannot share \(shards) logical shards: each rank needs at least one",
        hint: "start at most \(shards) ranks, or raise the number of logical shards to \(ranks) or more")
    }
    self.shards = shards
    self.ranks = ranks
    nodesByRank = (0..<ranks).map { Self.nodes(inside: Self.shards(of: $0, shards: shards, ranks: ranks), of: shards) }
    let nodes = nodesByRank.joined().enumerated()
    // A node and its only child cover the same shards and have the same value, so the shards name the value.
    additionsToRoot = Self.additions(
      to: Self.root(over: shards),
      values: Dictionary(uniqueKeysWithValues: nodes.map { ($0.element.shards, $0.offset) }))
  }

  /// The consecutive shards that a rank owns.
  public func shards(of rank: Int) -> Range<Int> {
    Self.shards(of: rank, shards: shards, ranks: ranks)
  }

  /// The largest nodes that cover shards of this rank alone, in shard order: one where the rank's shards are a whole subtree.
  public func nodes(of rank: Int) -> [Node] {
    nodesByRank[rank]
  }

  /// The number of nodes of all ranks.
  public var nodeCount: Int { nodesByRank.reduce(0) { $0 + $1.count } }

  /// The additions that make a rank's nodes out of its shards, numbered from its first: each node's sum ends in the number of the node's
  /// first shard.
  func additionsToNodes(of rank: Int) -> [Addition] {
    let owned = shards(of: rank)
    let values = Dictionary(uniqueKeysWithValues: owned.map { ($0..<$0 + 1, $0 - owned.lowerBound) })
    return nodes(of: rank).flatMap { Self.additions(to: $0, values: values) }
  }

  private static func shards(of rank: Int, shards: Int, ranks: Int) -> Range<Int> {
    rank * shards / ranks..<(rank + 1) * shards / ranks
  }

  private static func root(over shards: Int) -> Node {
    var level = 0
    while 1 << level < shards { level += 1 }
    return Node(level: level, shards: 0..<shards)
  }

  private static func nodes(inside owned: Range<Int>, of shards: Int) -> [Node] {
    func collect(_ node: Node) -> [Node] {
      if node.shards.clamped(to: owned) == node.shards { return [node] }
      return node.shards.overlaps(owned) ? node.children.flatMap(collect) : []
    }
    return collect(root(over: shards))
  }

  /// The additions that make the value of `node` out of numbered values of nodes below it.
  private static func additions(to node: Node, values: [Range<Int>: Int]) -> [Addition] {
    var additions: [Addition] = []
    func number(_ node: Node) -> Int {
      if let number = values[node.shards] { return number }
      let numbers = node.children.map(number)
      if numbers.count == 2 { additions.append(Addition(target: numbers[0], source: numbers[1])) }
      return numbers[0]
    }
    _ = number(node)
    return additions
  }
}

extension ShardTree.Node {
  /// The left child, and the right one if it exists; none for a shard.
  var children: [ShardTree.Node] {
    guard level > 0 else { return [] }
    let middle = shards.lowerBound + 1 << (level - 1)
    let left = ShardTree.Node(level: level - 1, shards: shards.lowerBound..<min(middle, shards.upperBound))
    guard middle < shards.upperBound else { return [left] }
    return [left, ShardTree.Node(level: level - 1, shards: middle..<shards.upperBound)]
  }
}
