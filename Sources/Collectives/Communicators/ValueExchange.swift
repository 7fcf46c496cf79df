import Foundation

// Collective calls on numbers and texts. Those on arrays allocate: they are for what is exchanged seldom.

extension Communicator {
  /// Gives every rank the numbers of rank 0. Collective.
  /// - Throws: `Failure(.communication)`.
  public func broadcast(_ numbers: UnsafeMutablePointer<Float>, count: Int) throws {
    try broadcast(UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(start: numbers, count: count)), from: 0)
  }

  /// The values of all ranks, in rank order. Each may have another number of them.
  public func allGather<Value: BitwiseCopyable>(values: [Value]) throws -> [Value] {
    try allGather(values.withUnsafeBytes { Array($0) }).flatMap { bytes in
      bytes.withUnsafeBytes { Array($0.bindMemory(to: Value.self)) }
    }
  }

  /// The texts of all ranks, in rank order.
  public func allGather(text: String) throws -> [String] {
    try allGather(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// The values of all ranks, in rank order, by way of JSON.
  public func allGather<Value: Codable>(coded values: [Value]) throws -> [Value] {
    try allGather(agree { Array(try JSONEncoder().encode(values)) }).flatMap {
      try JSONDecoder().decode([Value].self, from: Data($0))
    }
  }

  /// Sends `counts[r]` values to every rank `r`, from consecutive places of `values`.
  /// - Returns: what all ranks sent here, in rank order. No rank needs to know another's counts.
  /// - Throws: `Failure(.communication)`.
  public func allToAll<Value: BitwiseCopyable>(values: [Value], counts: [Int]) throws -> [Value] {
    precondition(counts.count == size && counts.reduce(0, +) == values.count)
    let stride = MemoryLayout<Value>.stride
    let word = [Int](repeating: MemoryLayout<Int>.size, count: size)
    let sent = counts.map { $0 * stride }
    var received = [Int](repeating: 0, count: size)
    try sent.withUnsafeBytes { send in
      try received.withUnsafeMutableBytes { try allToAll(send, sendCounts: word, into: $0, receiveCounts: word) }
    }
    let total = received.reduce(0, +) / stride
    return try [Value](unsafeUninitializedCapacity: total) { buffer, count in
      let receive = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<total]))
      try values.withUnsafeBytes { try allToAll($0, sendCounts: sent, into: receive, receiveCounts: received) }
      count = total
    }
  }

  /// The sums over all ranks, place by place, on every rank. Collective.
  /// - Parameter counts: as many on every rank.
  /// - Throws: `Failure(.communication)`.
  public func sum(_ counts: [Int]) throws -> [Int] {
    // Each rank adds up its share of the places.
    let bounds = (0...size).map { counts.count * $0 / size }
    let shares = zip(bounds, bounds.dropFirst()).map { $1 - $0 }
    let received = try allToAll(values: counts, counts: shares)
    let own = shares[rank]
    return try allGather(
      values: (0..<own).map { place in
        stride(from: place, to: received.count, by: own).reduce(0) { $0 + received[$1] }
      })
  }
}
