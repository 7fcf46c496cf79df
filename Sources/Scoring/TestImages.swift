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
  private let fit: ImageFit

  /// Collective.
  /// - Throws: `Failure(.badData)` where not all ranks see the same pictures.
  package init(_ entries: [TestEntry], side: Int, fit: ImageFit, over communicator: any Communicator) throws {
    try communicator.compareAcrossRanks(entries.map(\.image).fingerprint, what: "the test images (names and sizes)")
    self.entries = entries
    self.side = side
    self.fit = fit
    kinds = Set(entries.filter(\.isAnomalous).map(\.kind)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    shares = (0..<communicator.size).map { evenRange($0, of: communicator.size, count: entries.count) }
    own = shares[communicator.rank]
  }

  /// The parts for the pixels' metrics: the normal images and each kind of defect.
  package var parts: Int { kinds.count + 1 }

  package func part(of image: Int) -> Int {
    let entry = entries[image]
    return entry.isAnomalous ? (kinds.firstIndex(of: entry.kind) ?? 0) + 1 : 0
  }

  /// Where a defect is, as a mask file says.
  package struct Mask {
    /// At the anomaly maps' resolution.
    package let pixels: [Bool]
    /// Of the file.
    package let size: SIMD2<Int>
    /// Whether the file holds nothing but black and white.
    package let isBinary: Bool
  }

  /// The mask of an image; nil for normal images and where there is none.
  package func mask(of image: Int) throws -> Mask? {
    try entries[image].maskPath.map {
      let file = try ImageFile.decodeMask($0).withMarksInWhite()
      return Mask(
        pixels: fit.square(file, side: side).binaryMask(), size: SIMD2(file.width, file.height),
        isBinary: file.pixels.allSatisfy { $0 == 0 || $0 == 255 })
    }
  }

  /// Reads this rank's images and their masks, so that a bad one is found before anything depends on it.
  /// - Parameter progress: told how many of them were read, and may stop it.
  /// - Throws: `Failure` that names an image or a mask that cannot be read, and what `progress` throws.
  package func requireReadable(on team: ThreadTeam, progress: (_ done: Int, _ total: Int) throws -> Void) throws {
    let step = FeatureExtractor.inputsAtATime(on: team)
    for start in stride(from: own.lowerBound, to: own.upperBound, by: step) {
      let count = min(step, own.upperBound - start)
      try team.run(count) { index, _ in
        _ = try ImageFile.decode(entries[start + index].image.path)
        _ = try mask(of: start + index)
      }
      try progress(start + count - own.lowerBound, own.count)
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
    guard finding.mask != .unknown else {
      return "\(entries[image].image.relativePath): no mask; left out of the pixel metrics"
    }
    var oddities: [String] = []
    if finding.mask == .empty { oddities.append("marks no pixel at \(side) pixels; counted as background") }
    if !finding.maskIsBinary { oddities.append("holds greys; those above 127 count as marked") }
    if finding.maskSize != finding.size {
      oddities.append(
        "is \(finding.maskSize.x) x \(finding.maskSize.y) pixels, the image \(finding.size.x) x \(finding.size.y)")
    }
    return oddities.isEmpty
      ? nil : "\(entries[image].image.relativePath): the mask " + oddities.joined(separator: ", and ")
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
  package let maskIsBinary: Bool
  package let maskSize: SIMD2<Int>
  /// Of the image's file.
  package let size: SIMD2<Int>
  /// As of `ImageResult`.
  package let referenceArea: Double??

  package init(_ detection: Detection, mask file: TestImages.Mask?, size: SIMD2<Int>, side: Int) throws {
    let mask = file?.pixels
    maskIsBinary = file?.isBinary ?? true
    maskSize = file?.size ?? size
    self.size = size
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
