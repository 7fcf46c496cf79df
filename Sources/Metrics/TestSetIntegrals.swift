import Collectives

/// How many pixels a test set has. It is in parts: the normal images first, then those with one kind of defect each.
struct PixelCensus {
  /// Background pixels of each part.
  var background: [Int]
  /// Pixels of each region, by part.
  var areas: [[Int]]
}

/// How many pixels of a test set have one and the same score.
struct PixelTie {
  /// Background pixels of each part.
  var background: [Int]
  /// Pixels in each region, by part.
  var defects: [[Int]]
}

/// The integrals of a test set: of the whole, and of each kind of defect with the normal images.
struct TestSetIntegrals {
  /// Of the whole, then of each part but the first; nil where nothing can be measured.
  private var integrals: [PixelIntegral?]

  init(_ census: PixelCensus, fprLimit: Double) {
    let parts = Array(census.background.indices)
    integrals =
      [PixelIntegral(census, parts: parts, fprLimit: fprLimit)]
      + parts.dropFirst().map { PixelIntegral(census, parts: [0, $0], fprLimit: fprLimit) }
  }

  var progress: [PixelIntegral.Progress] {
    get { integrals.map { $0?.progress ?? .init() } }
    set { for (index, value) in newValue.enumerated() { integrals[index]?.progress = value } }
  }

  mutating func add(_ pixels: [SortedPixels]) {
    for index in integrals.indices { integrals[index]?.add(pixels) }
  }

  mutating func add(_ tie: PixelTie) {
    for index in integrals.indices { integrals[index]?.add(tie) }
  }

  /// As that of each integral. Collective.
  mutating func combine(over communicator: any Communicator) throws {
    for index in integrals.indices { try integrals[index]?.combine(over: communicator) }
  }

  func metrics() -> [PixelMetrics?] { integrals.map { $0?.metrics() } }
}
