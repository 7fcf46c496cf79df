import Collectives

/// Consecutive keys of pixels, which one rank sorts at a time.
struct KeyRange {
  let first: UInt32
  private(set) var last: UInt32
  /// What the pixels of all ranks take.
  private(set) var bytes: Int
  /// What this rank's take.
  private(set) var ownBytes: Int

  /// Cuts all keys into ranges of at most `capacity` bytes each. A single key may have more. Collective.
  /// - Returns: on every rank the same ranges, by rising keys.
  /// - Throws: `Failure(.communication)`, and what reading the store throws.
  static func all(of store: PixelStore, capacity: Int, over communicator: any Communicator) throws -> [KeyRange] {
    var ranges: [KeyRange] = []
    func add(_ first: UInt32, _ last: UInt32, bytes: Int, own: Int) {
      guard bytes > 0 else { return }
      if let end = ranges.indices.last, ranges[end].bytes + bytes <= capacity {
        ranges[end].last = last
        ranges[end].bytes += bytes
        ranges[end].ownBytes += own
      } else {
        ranges.append(KeyRange(first: first, last: last, bytes: bytes, ownBytes: own))
      }
    }

    let own = store.histogram
    for (bucket, bytes) in try communicator.sum(own).enumerated() {
      let first = UInt32(bucket) << 16
      if bytes <= capacity {
        add(first, first | 0xFFFF, bytes: bytes, own: own[bucket])
      } else {
        let own = try communicator.agree { try store.histogram(of: bucket) }
        for (low, bytes) in try communicator.sum(own).enumerated() {
          add(first | UInt32(low), first | UInt32(low), bytes: bytes, own: own[low])
        }
      }
    }
    return ranges
  }

  /// Deals ranges out in rounds: in a round each rank gets one range at most and sends no more than `capacity` bytes. Single keys of more bytes have
  /// a round for themselves. Collective.
  static func rounds(
    _ ranges: [KeyRange], capacity: Int, over communicator: any Communicator
  ) throws -> [ArraySlice<KeyRange>] {
    let bytes = try communicator.allGather(values: ranges.map(\.ownBytes))
    var rounds: [Range<Int>] = []
    /// What each rank sends in the last round.
    var sent: [Int] = []
    for (index, range) in ranges.enumerated() {
      let more = (0..<communicator.size).map { bytes[$0 * ranges.count + index] }
      let together = zip(sent, more).map { $0 + $1 }
      if let last = rounds.last, last.count < communicator.size, together.allSatisfy({ $0 <= capacity }),
        range.bytes <= capacity, ranges[last.lowerBound].bytes <= capacity
      {
        rounds[rounds.count - 1] = last.lowerBound..<index + 1
        sent = together
      } else {
        rounds.append(index..<index + 1)
        sent = more
      }
    }
    return rounds.map { ranges[$0] }
  }
}
