import Collectives
import Distillation
import Imagery
import Metrics
import Numerics

/// The images of a test set, and which of them each rank has.
package struct TestImages: Sendable {
  package let entries: [TestEntry]
  /// The kinds of defects, in the order of their bytes.
  package let kinds: [String]
  /// The numbers of the images of each rank.
  package let shares: [Range<Int>]
  /// Of this rank.
  package let own: Range<Int>
  /// Height and width of maps and masks.
  package let side: Int

  package init(_ entries: [TestEntry], side: Int, over communicator: any Communicator) {
    self.entries = entries
    self.side = side
    var kinds: [String] = []
    // The entries are ordered by their paths, and so by their kinds.
    for entry in entries where entry.isAnomalous && entry.kind != kinds.last { kinds.append(entry.kind) }
    self.kinds = kinds
    shares = (0..<communicator.size).map { evenRange($0, of: communicator.size, count: entries.count) }
    own = shares[communicator.rank]
  }

  /// The parts for the pixels' metrics: the normal images and each kind of defect.
  package var parts: Int { kinds.count + 1 }

  package func part(of image: Int) -> Int { kinds.firstIndex(of: entries[image].kind).map { $0 + 1 } ?? 0 }

  /// The defect's pixels at the network's resolution; nil for normal images and where there is no mask.
  package func mask(of image: Int) throws -> [Bool]? {
    try entries[image].maskPath.map {
      try ImageFile.decodeMask($0).resized(width: side, height: side).binaryMask()
    }
  }

  package func result(of image: Int, _ finding: ImageFinding) -> ImageResult {
    let entry = entries[image]
    return ImageResult(
      score: finding.score, defect: entry.isAnomalous ? entry.kind : nil, referenceArea: finding.referenceArea)
  }

  /// What makes images count for less than they seem to.
  package func warnings(_ findings: [ImageFinding]) -> [String] {
    let anomalous = findings.indices.filter { entries[$0].isAnomalous }
    // A data set without masks has only one thing to be said of it.
    if anomalous.count > 1, anomalous.allSatisfy({ findings[$0].mask == .unknown }) {
      return ["none of the \(anomalous.count) anomalous images has a mask: there are no pixel metrics"]
    }
    return findings.indices.compactMap { warning(of: $0, findings[$0]) }
  }

  private func warning(of image: Int, _ finding: ImageFinding) -> String? {
    guard entries[image].isAnomalous else { return nil }
    switch finding.mask {
    case .unknown: return "\(entries[image].image.relativePath): no mask; left out of the pixel metrics"
    case .empty:
      return "\(entries[image].image.relativePath): the mask marks no pixel at \(side) pixels; counted as background"
    case .marked: return nil
    }
  }
}

/// What is kept of a test image, all but its map.
package struct ImageFinding: BitwiseCopyable, Sendable {
  package enum Mask: BitwiseCopyable, Sendable { case unknown, empty, marked }

  package let score: Double
  /// The largest values of M1, M2 and M3.
  package let scaleMaxima: SIMD3<Double>
  /// The ends of the map.
  package let lowest: Float
  package let highest: Float
  package let mask: Mask
  /// As of `ImageResult`.
  package let referenceArea: Double??

  package init(_ detection: Detection, mask: [Bool]?, side: Int) throws {
    score = detection.score
    let maxima = detection.scaleMaps.map { Double($0.max() ?? 0) }
    scaleMaxima = SIMD3(maxima[0], maxima[1], maxima[2])
    lowest = detection.map.min() ?? 0
    highest = detection.map.max() ?? 0
    self.mask = mask.map { $0.contains(true) ? .marked : .empty } ?? .unknown
    referenceArea = try mask.map {
      try ReferenceOverlap.area(map: detection.map, mask: $0, width: side, height: side)
    }
  }
}
