import Collectives
import Diagnostics

extension PixelStore {
  /// Measures the pixels of all ranks' stores: the last that they are asked, since it takes the pixels out of them. Collective.
  ///
  /// An external sort: the keys are cut into ranges that fit into memory, each rank receives the pixels of one range, sorts them, and adds them, in
  /// the ranges' order, to the integrals, which go from rank to rank. So the metrics are those of all pixels sorted at once, to the last bit. Each rank
  /// has added images that come, in the order of all images, behind those of the ranks before it.
  /// - Parameter fprLimit: as of `PixelMetrics`.
  /// - Returns: the metrics of the whole set, then of each part but the first with the first; nil where they have no defect pixel or no other pixel.
  /// - Throws: on all ranks the same `Failure`: of `.inputOutput`, and for a limit outside its range.
  public func metrics(
    over communicator: any Communicator, fprLimit: Double = PixelMetrics.usualLimit
  ) throws -> [PixelMetrics?] {
    try communicator.agree {
      try requireLimit(fprLimit)
      try spill()
    }
    let census = PixelCensus(
      background: try communicator.sum(backgroundCounts),
      areas: try areas.map { try communicator.allGather(values: $0) })
    let regionCounts = try communicator.allGather(values: areas.map(\.count))
    let firstRegions = areas.indices.map { part in
      (0..<communicator.rank).reduce(0) { $0 + regionCounts[$1 * areas.count + part] }
    }
    var integrals = TestSetIntegrals(census, fprLimit: fprLimit)

    // A rank has the pixels of its range, and with them either those of one part that it sends or what sorting these takes.
    let capacity = memory / 2
    let ranges = try KeyRange.all(of: self, capacity: capacity, over: communicator)
    for round in try KeyRange.rounds(ranges, capacity: capacity, over: communicator) {
      if let range = round.first, range.bytes > capacity {
        let tie = try total(of: range.first, census, firstRegions, over: communicator)
        if communicator.rank == 0 { integrals.add(tie) }
        try passOn(&integrals, from: 0, over: communicator)
      } else {
        let pixels = try deal(round, firstRegions, over: communicator)
        for owner in round.indices.map({ $0 - round.startIndex }) {
          if communicator.rank == owner { integrals.add(pixels) }
          try passOn(&integrals, from: owner, over: communicator)
        }
      }
    }
    try integrals.combine(over: communicator)
    return integrals.metrics()
  }

  /// Deals the pixels of each range out to its rank and sorts those of this rank's, by part.
  private func deal(
    _ round: ArraySlice<KeyRange>, _ firstRegions: [Int], over communicator: any Communicator
  ) throws -> [SortedPixels] {
    let last = round.map(\.last)
    let idle = [Int](repeating: 0, count: communicator.size - round.count)
    return try firstRegions.enumerated().map { part, firstRegion in
      func received<Key: BitwiseCopyable>(_ take: () throws -> (keys: [Key], counts: [Int])) throws -> [Key] {
        let (keys, counts) = try communicator.agree(take)
        return try communicator.allToAll(values: keys, counts: counts + idle)
      }
      return SortedPixels(
        background: try received { try takeBackground(through: last, part: part) },
        defects: try received { try takeDefects(through: last, part: part, firstRegion: firstRegion) })
    }
  }

  /// How many pixels of all ranks have one key.
  private func total(
    of key: UInt32, _ census: PixelCensus, _ firstRegions: [Int], over communicator: any Communicator
  ) throws -> PixelTie {
    let own = try communicator.agree { try takeTie(of: key) }
    return PixelTie(
      background: try communicator.sum(own.background),
      defects: try own.defects.enumerated().map { part, counts in
        var all = [Int](repeating: 0, count: census.areas[part].count)
        all.replaceSubrange(firstRegions[part]..<firstRegions[part] + counts.count, with: counts)
        return try communicator.sum(all)
      })
  }

  private func passOn(
    _ integrals: inout TestSetIntegrals, from owner: Int, over communicator: any Communicator
  ) throws {
    guard communicator.size > 1 else { return }
    var progress = integrals.progress
    try progress.withUnsafeMutableBytes { try communicator.broadcast($0, from: owner) }
    integrals.progress = progress
  }
}
