import CVectorKernels

/// The data-parallel step's large exchange: gradients are summed over all ranks, each rank receives the sum for its own range of the
/// parameters, and after the optimizer's step the ranges go back to all.
///
/// The parameters are one flat array of `count` elements, cut into one consecutive range a rank. One rank has one of these and calls it from
/// one thread at a time.
public final class GradientReduction {
  /// The range of each rank, by rank: the starts are multiples of 16 elements, the sizes differ by 16 at most.
  public let ranges: [Range<Int>]
  /// This rank's range.
  public var own: Range<Int> { ranges[communicator.rank] }

  private let count: Int
  private let tree: ShardTree
  private let communicator: any Communicator
  private let byteCounts: [Int]
  private let nodeCounts: [Int]
  /// How many elements of each range are exchanged at a time.
  private let piece: Int
  /// The other ranks' node values of one piece, `piece` elements each.
  private let received = Scratch<Float>()
  private var receivedCount: Int { (tree.nodeCount - nodeCounts[communicator.rank]) * piece }
  /// Bytes of the memory for what has been received.
  public var receiveBytes: Int { receivedCount * MemoryLayout<Float>.stride }
  // Reused by every call.
  private var sendRanges: [Range<Int>]
  private var receiveRanges: [Range<Int>]
  private var values: [UnsafeMutablePointer<Float>] = []

  /// - Parameters:
  ///   - count: the number of parameters.
  ///   - scratchBytes: what the memory for pieces that have been received, but not added, may take, roughly.
  public init(count: Int, tree: ShardTree, over communicator: any Communicator, scratchBytes: Int = 4 << 20) {
    precondition(tree.ranks == communicator.size)
    let ranks = tree.ranks
    let blocks = (count + 15) / 16
    let ranges = (0..<ranks).map {
      min(blocks * $0 / ranks * 16, count)..<min(blocks * ($0 + 1) / ranks * 16, count)
    }
    self.count = count
    self.ranges = ranges
    self.tree = tree
    self.communicator = communicator
    byteCounts = ranges.map { $0.count * MemoryLayout<Float>.stride }
    nodeCounts = (0..<ranks).map { tree.nodes(of: $0).count }
    piece = max(scratchBytes / MemoryLayout<Float>.stride / tree.nodeCount / 16 * 16, 16)
    sendRanges = Array(repeating: 0..<0, count: ranks)
    receiveRanges = sendRanges
  }

  /// Sums the nodes of all ranks in the tree's order; every rank receives the sum of its own range. Collective.
  /// - Parameters:
  ///   - nodes: this rank's nodes (`ShardTree.nodes(of:)`) x `count`. The own range of each is overwritten.
  ///   - sum: `own.count` elements. It may be the own range of one of `nodes`, which saves memory, and for one rank the copy.
  /// - Throws: `Failure(.communication)`.
  public func reduceScatter(nodes: UnsafeMutablePointer<Float>, into sum: UnsafeMutablePointer<Float>) throws {
    let longest = ranges.reduce(0) { max($0, $1.count) }
    let received = received.room(for: receivedCount)
    for start in stride(from: 0, to: tree.ranks > 1 ? longest : own.count, by: piece) {
      try exchange(nodes: nodes, from: start, into: received)
      addUp(nodes: nodes, received: received, from: start, into: sum + start)
    }
  }

  /// Gives every rank all ranges. Collective.
  /// - Parameter parameters: `count` elements, of which this rank's own range is valid; afterwards all are.
  /// - Throws: `Failure(.communication)`.
  public func allGather(parameters: UnsafeMutablePointer<Float>) throws {
    guard tree.ranks > 1 else { return }
    try communicator.allGather(
      UnsafeRawBufferPointer(UnsafeBufferPointer(start: parameters + own.lowerBound, count: own.count)),
      into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: parameters, count: count)),
      counts: byteCounts)
  }

  /// Gives rank 0 a part of the array that the ranks' own ranges make up. Collective.
  /// - Parameters:
  ///   - part: which elements.
  ///   - own: this rank's range.
  ///   - target: `part.count` elements on rank 0, none elsewhere.
  /// - Throws: `Failure(.communication)`.
  public func gather(
    _ part: Range<Int>, own: UnsafePointer<Float>, into target: UnsafeMutableBufferPointer<Float>
  ) throws {
    let (rank, none) = (communicator.rank, ranges.map { _ in 0..<0 })
    var sent = none
    sent[0] = bytes(of: part, in: rank, from: self.own.lowerBound)
    try communicator.allToAll(
      UnsafeRawBufferPointer(UnsafeBufferPointer(start: own, count: self.own.count)), sendRanges: sent,
      into: UnsafeMutableRawBufferPointer(target),
      receiveRanges: rank == 0 ? ranges.indices.map { bytes(of: part, in: $0, from: part.lowerBound) } : none)
  }

  /// Gives every rank, of a part of the array that rank 0 has, what lies in its own range. Collective.
  /// - Parameters:
  ///   - part: which elements.
  ///   - source: `part.count` elements on rank 0, none elsewhere.
  ///   - own: this rank's range, of which nothing else changes.
  /// - Throws: `Failure(.communication)`.
  public func scatter(
    _ part: Range<Int>, from source: UnsafeBufferPointer<Float>, own: UnsafeMutablePointer<Float>
  ) throws {
    let (rank, none) = (communicator.rank, ranges.map { _ in 0..<0 })
    var received = none
    received[0] = bytes(of: part, in: rank, from: self.own.lowerBound)
    try communicator.allToAll(
      UnsafeRawBufferPointer(source),
      sendRanges: rank == 0 ? ranges.indices.map { bytes(of: part, in: $0, from: part.lowerBound) } : none,
      into: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: own, count: self.own.count)),
      receiveRanges: received)
  }

  /// Where those elements of `part` that are in a rank's range lie in memory that begins with the element `start`.
  private func bytes(of part: Range<Int>, in rank: Int, from start: Int) -> Range<Int> {
    let width = MemoryLayout<Float>.stride
    let common = part.clamped(to: ranges[rank])
    return common.isEmpty ? 0..<0 : (common.lowerBound - start) * width..<(common.upperBound - start) * width
  }

  /// Receives the other ranks' node values for the piece of the own range that begins at `start`.
  private func exchange(
    nodes: UnsafeMutablePointer<Float>, from start: Int, into received: UnsafeMutablePointer<Float>
  ) throws {
    let rank = communicator.rank
    let width = MemoryLayout<Float>.stride
    // One exchange for the first node of each rank, one for the second of those that have another, and so on.
    for node in 0..<(nodeCounts.max() ?? 0) where tree.ranks > 1 {
      var slot = 0
      for other in ranges.indices where other != rank {
        let target = node * count + ranges[other].lowerBound + start
        let sent = node < nodeCounts[rank] ? length(from: start, of: other) : 0
        sendRanges[other] = sent == 0 ? 0..<0 : target * width..<(target + sent) * width
        let source = (slot + node) * piece
        let expected = node < nodeCounts[other] ? length(from: start, of: rank) : 0
        receiveRanges[other] = expected == 0 ? 0..<0 : source * width..<(source + expected) * width
        slot += nodeCounts[other]
      }
      try communicator.allToAll(
        UnsafeRawBufferPointer(start: nodes, count: nodeCounts[rank] * count * width), sendRanges: sendRanges,
        into: UnsafeMutableRawBufferPointer(
          start: received, count: receivedCount * width),
        receiveRanges: receiveRanges)
    }
  }

  /// Adds all ranks' node values for the piece of the own range that begins at `start`.
  private func addUp(
    nodes: UnsafeMutablePointer<Float>, received: UnsafeMutablePointer<Float>, from start: Int,
    into sum: UnsafeMutablePointer<Float>
  ) {
    values.removeAll(keepingCapacity: true)
    var slot = 0
    for rank in ranges.indices {
      for node in 0..<nodeCounts[rank] {
        if rank == communicator.rank {
          values.append(nodes + node * count + own.lowerBound + start)
        } else {
          values.append(received + slot * piece)
          slot += 1
        }
      }
    }
    let length = length(from: start, of: communicator.rank)
    guard let last = tree.additionsToRoot.last else {
      if sum != values[0] { sum.update(from: values[0], count: length) }
      return
    }
    // In blocks that stay in the core's cache from the first addition to the last, which writes to its destination.
    let block = 2048
    for offset in stride(from: 0, to: length, by: block) {
      let elements = min(block, length - offset)
      for addition in tree.additionsToRoot.dropLast() {
        rd_add(values[addition.source] + offset, values[addition.target] + offset, elements)
      }
      rd_sum(values[last.target] + offset, values[last.source] + offset, sum + offset, elements)
    }
  }

  /// How many elements the piece that begins at `start` has in a rank's range.
  private func length(from start: Int, of rank: Int) -> Int {
    min(max(ranges[rank].count - start, 0), piece)
  }
}
