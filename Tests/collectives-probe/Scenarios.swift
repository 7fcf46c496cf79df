import Collectives
import Diagnostics

/// What the probe does as one rank of a job, and the tests as the ranks of a `LocalCommunicator`.
public enum Scenario: String, CaseIterable, Sendable {
  /// Sums over all shards, gradients and parameters.
  case reductions
  /// Each kind of exchange, with contents that are known from the ranks.
  case exchanges
  /// The last rank has an error, the others have none.
  case failure
  /// The last rank differs from the others.
  case comparison
  /// Groups of two ranks, each with sums and exchanges of its own.
  case groups
  /// In a group of two ranks the second has an error.
  case groupFailure
  /// A queue that is emptied, and one that is stopped.
  case queue

  /// - Returns: lines that are the same on every rank.
  /// - Throws: what the scenario ends in.
  public func run(on communicator: any JobCommunicator) throws -> [String] {
    switch self {
    case .reductions:
      return try [8, 13, 21].map { shards in
        "\(shards) shards: \(try reductionDigest(shards: shards, over: communicator))"
      }
    case .exchanges:
      try checkExchanges(over: communicator)
      return ["\(communicator.size) ranks exchanged"]
    case .failure:
      let isLast = communicator.rank == communicator.size - 1
      _ = try communicator.agree { if isLast { throw Failure(.badData, "bad.png: not an image", hint: "remove it") } }
      return []
    case .comparison:
      let isLast = communicator.rank == communicator.size - 1
      try communicator.compareAcrossRanks(isLast ? "1.1" : "1.0", what: "their versions")
      return []
    case .groups:
      return try checkGroups(over: communicator)
    case .groupFailure:
      let group = try communicator.split(communicator.rank / 2)
      try group.agree { if group.rank == 1 { throw Failure(.badData, "bad.png: not an image") } }
      return []
    case .queue:
      try checkQueue(over: communicator)
      return ["\(communicator.size) ranks shared the work"]
    }
  }
}

/// Numbers that depend on nothing but where they belong, of very different sizes, so that every other order of additions shows.
public struct TestNumbers {
  private var state: UInt64

  public init(_ seeds: Int...) {
    state = seeds.reduce(0x9E37_79B9_7F4A_7C15) { ($0 ^ UInt64(truncatingIfNeeded: $1)) &* 0xBF58_476D_1CE4_E5B9 &+ 1 }
  }

  public mutating func next() -> Double {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    let mantissa = Double(state >> 11) / Double(1 << 53) - 0.5
    return mantissa * (state & (7 << 40) == 0 ? 1000 : 1)
  }
}

/// A shard's partial sums in the reductions scenario.
public func partialSums(of shard: Int, count: Int) -> [Double] {
  var numbers = TestNumbers(1, shard)
  return (0..<count).map { _ in numbers.next() }
}

/// A shard's partial gradients in the reductions scenario.
public func partialGradients(of shard: Int, count: Int) -> [Float] {
  var numbers = TestNumbers(2, shard)
  return (0..<count).map { _ in Float(numbers.next()) }
}

/// What the reductions of one rank give: the sums and the whole gradient.
public struct Reductions: Sendable, Equatable {
  public var sums: [Double]
  public var gradients: [Float]

  public init(sums: [Double], gradients: [Float]) {
    self.sums = sums
    self.gradients = gradients
  }
}

/// Sums `sumCount` values and `gradientCount` gradients of all shards, in the way a training step does.
public func reductions(
  shards: Int, sumCount: Int, gradientCount: Int, scratchBytes: Int, over communicator: any Communicator
) throws -> Reductions {
  let rank = communicator.rank
  let tree = try ShardTree(shards: shards, ranks: communicator.size)

  var sums = [Double](repeating: .nan, count: sumCount)
  let partials = tree.shards(of: rank).flatMap { partialSums(of: $0, count: sumCount) }
  try ShardReduction(tree: tree, over: communicator).allReduce(partials, valuesPerShard: sumCount, into: &sums)

  let accumulator = ShardAccumulator(tree: tree, rank: rank)
  var scratch = [Float](repeating: .nan, count: accumulator.scratchBuffers * gradientCount)
  var nodes = [Float](repeating: .nan, count: accumulator.nodes.count * gradientCount)
  accumulator.accumulate(count: gradientCount, scratch: &scratch, into: &nodes, stride: gradientCount) {
    shard, room in
    room.update(from: partialGradients(of: shard, count: gradientCount), count: gradientCount)
    return UnsafePointer(room)
  }
  let reduction = GradientReduction(count: gradientCount, tree: tree, over: communicator, scratchBytes: scratchBytes)
  var gradients = [Float](repeating: .nan, count: gradientCount)
  try gradients.withUnsafeMutableBufferPointer { gradients in
    guard let start = gradients.baseAddress else { return }
    try reduction.reduceScatter(nodes: &nodes, into: start + reduction.own.lowerBound)
    try reduction.allGather(parameters: start)
  }
  return Reductions(sums: sums, gradients: gradients)
}

func reductionDigest(shards: Int, over communicator: any Communicator) throws -> String {
  let result = try reductions(
    shards: shards, sumCount: 37, gradientCount: 20_011, scratchBytes: 20_000, over: communicator)
  var hash = SHA256()
  result.sums.withUnsafeBytes { hash.update($0) }
  result.gradients.withUnsafeBytes { hash.update($0) }
  let digest = hash.hexDigest()
  try communicator.compareAcrossRanks(digest, what: "their sums")
  return digest
}

/// Checks every kind of exchange against what the ranks are known to send: rank a's i-th byte for rank b.
func checkExchanges(over communicator: any Communicator) throws {
  let (rank, size) = (communicator.rank, communicator.size)
  func byte(_ source: Int, _ destination: Int, _ index: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: source &* 89 ^ destination &* 57 ^ index &* 31 ^ index >> 8)
  }
  func expect(_ condition: Bool, _ what: String) throws {
    if !condition { throw Failure(.internalError, "rank \(rank): wrong bytes after \(what)") }
  }
  for length in [0, 1, 999, 70_000] {
    for root in 0..<size {
      var bytes = (0..<length).map { rank == root ? byte(root, 0, $0) : 0 }
      try bytes.withUnsafeMutableBytes { try communicator.broadcast($0, from: root) }
      try expect(bytes == (0..<length).map { byte(root, 0, $0) }, "broadcast")
    }

    // Lengths differ from rank to rank, and some are 0.
    let counts = (0..<size).map { $0 % 3 == 1 ? 0 : length + $0 }
    let all = (0..<size).flatMap { source in (0..<counts[source]).map { byte(source, 0, $0) } }
    let offset = counts[..<rank].reduce(0, +)
    let own = Array(all[offset..<offset + counts[rank]])
    var gathered = [UInt8](repeating: 0, count: all.count)
    try own.withUnsafeBytes { own in
      try gathered.withUnsafeMutableBytes { try communicator.allGather(own, into: $0, counts: counts) }
    }
    try expect(gathered == all, "allGather")
    gathered = [UInt8](repeating: 0, count: offset) + own
    gathered += [UInt8](repeating: 0, count: all.count - gathered.count)
    try gathered.withUnsafeMutableBytes { buffer in
      let place = UnsafeRawBufferPointer(rebasing: buffer[offset..<offset + counts[rank]])
      try communicator.allGather(place, into: buffer, counts: counts)
    }
    try expect(gathered == all, "allGather in place")
    let parts = try communicator.allGather(own)
    try expect(parts.map(\.count) == counts && parts.flatMap { $0 } == all, "allGather of any lengths")

    func count(_ source: Int, _ destination: Int) -> Int { (source + destination) % 4 == 3 ? 0 : length + source }
    let sent = (0..<size).flatMap { other in (0..<count(rank, other)).map { byte(rank, other, $0) } }
    let expected = (0..<size).flatMap { other in (0..<count(other, rank)).map { byte(other, rank, $0) } }
    var received = [UInt8](repeating: 0, count: expected.count)
    try sent.withUnsafeBytes { sent in
      try received.withUnsafeMutableBytes {
        try communicator.allToAll(
          sent, sendCounts: (0..<size).map { count(rank, $0) }, into: $0,
          receiveCounts: (0..<size).map { count($0, rank) })
      }
    }
    try expect(received == expected, "allToAll")
    try communicator.barrier()
  }
}
