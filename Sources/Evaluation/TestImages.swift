import Collectives
import Distillation
import Imagery
import Metrics
import Numerics

/// The images of a test set, and which of them each rank has.
struct TestImages {
  let entries: [TestEntry]
  /// The kinds of defects, in the order of their bytes.
  let kinds: [String]
  /// The numbers of the images of each rank.
  let shares: [Range<Int>]
  /// Of this rank.
  let own: Range<Int>
  /// Height and width of maps and masks.
  let side: Int

  init(_ entries: [TestEntry], side: Int, over communicator: any Communicator) {
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
  var parts: Int { kinds.count + 1 }

  func part(of image: Int) -> Int { kinds.firstIndex(of: entries[image].kind).map { $0 + 1 } ?? 0 }

  /// Where a defect is, as a mask file says.
  struct Mask {
    /// At the network's resolution.
    let pixels: [Bool]
    /// Of the file.
    let size: SIMD2<Int>
    /// Whether the file holds nothing but black and white.
    let isBinary: Bool
  }

  /// The mask of an image; nil for normal images and where there is none.
  func mask(of image: Int) throws -> Mask? {
    try entries[image].maskPath.map {
      let file = try ImageFile.decodeMask($0)
      return Mask(
        pixels: file.resized(width: side, height: side).binaryMask(), size: SIMD2(file.width, file.height),
        isBinary: file.pixels.allSatisfy { $0 == 0 || $0 == 255 })
    }
  }

  func result(of image: Int, _ finding: ImageFinding) -> ImageResult {
    let entry = entries[image]
    return ImageResult(
      score: finding.score, defect: entry.isAnomalous ? entry.kind : nil, referenceArea: finding.referenceArea)
  }

  /// What makes images count for less than they seem to.
  func warnings(_ findings: [ImageFinding]) -> [String] {
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
struct ImageFinding: BitwiseCopyable {
  enum Mask: BitwiseCopyable { case unknown, empty, marked }

  let score: Double
  /// The largest values of M1, M2 and M3.
  let scaleMaxima: SIMD3<Double>
  /// The ends of the map.
  let lowest: Float
  let highest: Float
  let mask: Mask
  let maskIsBinary: Bool
  let maskSize: SIMD2<Int>
  /// Of the image's file.
  let size: SIMD2<Int>
  /// As of `ImageResult`.
  let referenceArea: Double??

  init(_ detection: Detection, mask file: TestImages.Mask?, size: SIMD2<Int>, side: Int) throws {
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
