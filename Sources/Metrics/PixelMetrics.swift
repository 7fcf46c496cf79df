import Diagnostics

/// How well anomaly maps find the pixels of the defects, over all images of a set together.
///
/// All measures come from one sorted pass over the pixels in which every distinct score is a threshold (predicted =
/// score >= threshold). Counts are integers, so neither the order of the images nor their number costs digits.
public struct PixelMetrics: Sendable {
  /// The false-positive rate where AUPRO's integral usually ends.
  public static let usualLimit = 0.3

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
  /// (Recall, precision) of the pixels from (0, 1) on, thinned to what a plot can show.
  public let precisionRecall: [CurvePoint]
}

extension PixelMetrics {
  /// - Parameters:
  ///   - maps: One anomaly map an image, `height` x `width`, row by row.
  ///   - masks: The maps' defect pixels. Images whose mask is not known are left out by the caller.
  ///   - fprLimit: The false-positive rate where AUPRO's integral ends, above 0 and at most 1.
  /// - Returns: nil when there is no defect pixel or no other pixel.
  /// - Throws: `Failure` for a score that is not finite, for a wrong size and for a limit outside its range.
  public init?(maps: [[Float]], masks: [[Bool]], width: Int, height: Int, fprLimit: Double = usualLimit) throws {
    guard maps.count == masks.count else {
      throw Failure(.badData, "metrics: \(maps.count) maps have \(masks.count) masks")
    }
    var scores = PixelScores(width: width, height: height)
    for (map, mask) in zip(maps, masks) { try scores.add(map: map, mask: mask) }
    try self.init(scores, fprLimit: fprLimit)
  }

  /// As above, from scores that were added image by image.
  public init?(_ scores: consuming PixelScores, fprLimit: Double = usualLimit) throws {
    try requireLimit(fprLimit)
    let census = PixelCensus(background: [scores.backgroundCount], areas: [scores.areas])
    guard var integral = PixelIntegral(census, parts: [0], fprLimit: fprLimit) else { return nil }
    integral.add([scores.sorted()])
    self = integral.metrics()
  }
}

/// - Throws: `Failure` for a limit of AUPRO's integral outside its range.
func requireLimit(_ fprLimit: Double) throws {
  guard fprLimit > 0, fprLimit <= 1 else {
    throw Failure(.configuration, "metrics: the limit of the false-positive rate is \(fprLimit), not in (0, 1]")
  }
}
