import Diagnostics

/// How well anomaly maps find the pixels of the defects, over all images of a set together.
///
/// All measures come from one sorted pass over the pixels in which every distinct score is a threshold (predicted =
/// score >= threshold). Counts are integers, so neither the order of the images nor their number costs digits.
public struct PixelMetrics: Sendable {
  /// Area under the pixels' ROC curve.
  public let auroc: Double
  /// Average precision over the pixels.
  public let averagePrecision: Double
  /// MVTec's AUPRO: the mean over all regions of all images of the share of the region that is found (per-region
  /// overlap), integrated over the false-positive rate from 0 to the limit, divided by the limit. The curve starts at
  /// (0, 0), is linear between thresholds and is cut at exactly the limit.
  ///
  /// Source: P. Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021.
  public let aupro: Double
  /// Regions over which `aupro` is a mean.
  public let regions: Int
  /// (False-positive rate, true-positive rate) of the pixels, thinned to what a plot can show.
  public let roc: [CurvePoint]
  /// (False-positive rate, mean per-region overlap), up to a rate of 1, thinned to what a plot can show.
  public let pro: [CurvePoint]

  /// - Parameters:
  ///   - maps: One anomaly map an image, `height` x `width`, row by row.
  ///   - masks: The maps' defect pixels. Images whose mask is not known are left out by the caller.
  ///   - fprLimit: The false-positive rate where AUPRO's integral ends, above 0 and at most 1.
  /// - Returns: nil when there is no defect pixel or no other pixel.
  /// - Throws: `Failure` for a score that is not finite, for a wrong size and for a limit outside its range.
  public init?(maps: [[Float]], masks: [[Bool]], width: Int, height: Int, fprLimit: Double = 0.3) throws {
    guard maps.count == masks.count else {
      throw Failure(.badData, "metrics: \(maps.count) maps have \(masks.count) masks")
    }
    var scores = PixelScores(width: width, height: height)
    for (map, mask) in zip(maps, masks) { try scores.add(map: map, mask: mask) }
    try self.init(scores, fprLimit: fprLimit)
  }

  /// As above, from scores that were added image by image.
  public init?(_ scores: consuming PixelScores, fprLimit: Double = 0.3) throws {
    guard fprLimit > 0, fprLimit <= 1 else {
      throw Failure(.configuration, "metrics: the limit of the false-positive rate is \(fprLimit), not in (0, 1]")
    }
    guard !scores.background.isEmpty, !scores.defects.isEmpty else { return nil }
    radixSort(&scores.background, bits: 0..<32)
    radixSort(&scores.defects, bits: 32..<64)
    let (background, defects, areas) = (scores.background, scores.defects, scores.areas)
    let negatives = Double(background.count)
    let positives = Double(defects.count)
    let limit = fprLimit * negatives

    var twiceArea = 0  // under the ROC curve, in defect pixels x background pixels
    var precision = 0.0
    var overlap = 0.0  // summed over the regions
    var integrals = [RegionIntegral](repeating: RegionIntegral(), count: areas.count)
    var shareOfCut = 0.0  // what a pixel in the group of scores that holds the limit adds to its region's integral
    var (roc, pro) = (ThinnedCurve(), ThinnedCurve())
    func addToCurves(_ falsePositives: Int, _ truePositives: Int) {
      let x = Double(falsePositives) / negatives
      roc.add(x: x, y: Double(truePositives) / positives)
      pro.add(x: x, y: overlap / Double(areas.count))
    }

    var next = 0  // background pixels seen
    var index = 0  // defect pixels seen
    while index < defects.count {
      let key = UInt32(truncatingIfNeeded: defects[index] >> 32)
      while next < background.count, background[next] < key { next += 1 }
      let before = next
      while next < background.count, background[next] == key { next += 1 }
      addToCurves(before, index)

      let first = index
      let isBelowLimit = Double(next) <= limit
      let isCut = !isBelowLimit && Double(before) < limit
      if isCut {
        let room = limit - Double(before)
        shareOfCut = room * room / (2 * Double(next - before))
      }
      while index < defects.count, UInt32(truncatingIfNeeded: defects[index] >> 32) == key {
        let region = Int(truncatingIfNeeded: defects[index] & 0xFFFF_FFFF)
        overlap += 1 / Double(areas[region])
        if isBelowLimit {
          integrals[region].pixels += 1
          integrals[region].twiceStart += before + next
        } else if isCut {
          integrals[region].pixelsOfCut += 1
        }
        index += 1
      }
      twiceArea += (index - first) * (2 * background.count - before - next)
      precision += Double(index - first) * Double(index) / Double(index + next)
      addToCurves(next, index)
    }
    addToCurves(background.count, index)

    auroc = Double(twiceArea) / (2 * positives * negatives)
    averagePrecision = precision / positives
    // Sorted, because a sum of rounded numbers must not depend on the order of the images.
    let ofRegions = zip(integrals, areas).map { integral, area in
      let whole = Double(integral.pixels) * limit
      let cut = Double(integral.pixelsOfCut) * shareOfCut
      return (whole - Double(integral.twiceStart) / 2 + cut) / (Double(area) * limit)
    }
    aupro = ofRegions.sorted().reduce(0, +) / Double(areas.count)
    regions = areas.count
    self.roc = roc.finished()
    self.pro = pro.finished()
  }
}

/// The integral of one region's overlap over the false-positive rate, in exact counts. A defect pixel found between b0
/// and b1 false positives adds to its region's overlap a ramp from b0 to b1 and a constant from there on: up to the
/// limit L an area of L - (b0 + b1) / 2, or (L - b0)^2 / (2 (b1 - b0)) where b0 < L < b1.
private struct RegionIntegral {
  var pixels = 0
  var twiceStart = 0
  var pixelsOfCut = 0
}

/// The pixels of a set's anomaly maps, collected image by image for `PixelMetrics`: 4 bytes for a background pixel,
/// 8 for a defect's.
public struct PixelScores: Sendable {
  public let width: Int
  public let height: Int
  /// Keys that rise as scores fall.
  fileprivate var background: [UInt32] = []
  /// Such a key in the upper half, the region's index in the lower.
  fileprivate var defects: [UInt64] = []
  /// Pixels of each region.
  fileprivate var areas: [Int] = []

  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  /// - Parameters:
  ///   - map: The scores of one image, `height` x `width`, row by row: an array, or a slice of a longer buffer.
  ///   - mask: The image's defect pixels; nil where there are none.
  /// - Throws: `Failure` when a score is not finite and when a size is wrong. The scores are unchanged then.
  public mutating func add(map: some Sequence<Float>, mask: [Bool]?) throws {
    let map = Array(map)
    try requireMap(map, width: width, height: height)
    guard let mask else {
      background.append(contentsOf: map.lazy.map { ~$0.orderedBits })
      return
    }
    let found = try ConnectedRegions(of: mask, width: width, height: height)
    for (score, label) in zip(map, found.labels) {
      let key = ~score.orderedBits
      if label == 0 {
        background.append(key)
      } else {
        defects.append(UInt64(key) << 32 | UInt64(areas.count + Int(label) - 1))
      }
    }
    areas += found.areas
  }
}
