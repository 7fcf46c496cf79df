import Diagnostics

/// AUPRO as the method's authors computed it: per image, with about 200 thresholds of that image, the false-positive
/// rate kept below 0.3 and rescaled by the largest rate kept, then the plain mean over images.
///
/// It is not comparable with `PixelMetrics.aupro`; it is here to compare with the numbers that the authors published.
/// Source: the evaluation code released with H. Deng, X. Li, CVPR 2022.
public struct ReferenceOverlap: Sendable, Equatable {
  /// The mean over the images that could be scored; nil when none could.
  public let value: Double?
  /// Images that could be scored.
  public let images: Int
  /// Images left out: their mask is empty or covers everything, their map is constant, or fewer than two thresholds
  /// (or none above a rate of 0) lie below 0.3.
  public let skipped: Int

  /// - Parameters:
  ///   - maps: Anomaly maps of the anomalous images, `height` x `width`, row by row.
  ///   - masks: The maps' defect pixels.
  /// - Throws: `Failure` for a score that is not finite and for a wrong size.
  public init(maps: [[Float]], masks: [[Bool]], width: Int, height: Int) throws {
    guard maps.count == masks.count else {
      throw Failure(.badData, "metrics: \(maps.count) maps have \(masks.count) masks")
    }
    self.init(
      areas: try zip(maps, masks).map {
        try Self.area(map: $0, mask: $1, width: width, height: height)
      })
  }

  /// From the areas of single images; nil for an image that could not be scored.
  init(areas: [Double?]) {
    let known = areas.compactMap { $0 }
    // Sorted, because a sum of rounded numbers must not depend on the order of the images.
    value = known.isEmpty ? nil : known.sorted().reduce(0, +) / Double(known.count)
    images = known.count
    skipped = areas.count - known.count
  }

  /// The area under one image's curve, as a share of the largest rate kept.
  /// - Parameters: as of `init(maps:masks:width:height:)`.
  /// - Returns: nil when the image cannot be scored.
  /// - Throws: `Failure` for a score that is not finite and for a wrong size.
  public static func area(map: [Float], mask: [Bool], width: Int, height: Int) throws -> Double? {
    let regions = try ConnectedRegions(of: mask, width: width, height: height)
    try requireMap(map, width: width, height: height)
    let background = map.count - regions.area
    guard regions.count > 0, background > 0, let low = map.min(), let high = map.max(), low < high else { return nil }
    let thresholds = thresholds(from: Double(low), to: Double(high))

    // found[region][n]: pixels that are above exactly n thresholds; region 0 is the background.
    var found = [[Int]](
      repeating: [Int](repeating: 0, count: thresholds.count + 1), count: regions.count + 1)
    let perUnit = Double(thresholds.count) / (Double(high) - Double(low))
    for (score, label) in zip(map, regions.labels) {
      let score = Double(score)
      // A guess, then the exact number of thresholds below the score.
      var above = min(max(Int((score - Double(low)) * perUnit), 0), thresholds.count)
      while above > 0, thresholds[above - 1] >= score { above -= 1 }
      while above < thresholds.count, thresholds[above] < score { above += 1 }
      found[Int(label)][above] += 1
    }
    // From the highest threshold down: pixels predicted so far, then rates.
    var points: [CurvePoint] = []
    var predicted = [Int](repeating: 0, count: regions.count + 1)
    for threshold in thresholds.indices.reversed() {
      for region in predicted.indices { predicted[region] += found[region][threshold + 1] }
      let rate = Double(predicted[0]) / Double(background)
      guard rate < 0.3 else { break }
      let overlap = zip(predicted.dropFirst(), regions.areas).reduce(0) { $0 + Double($1.0) / Double($1.1) }
      points.append(CurvePoint(x: rate, y: overlap / Double(regions.count)))
    }
    guard points.count > 1, let largest = points.last?.x, largest > 0 else { return nil }
    return zip(points, points.dropFirst()).reduce(0) { area, ends in
      area + (ends.1.x / largest - ends.0.x / largest) * (ends.0.y + ends.1.y) / 2
    }
  }

  /// numpy's `arange(low, high, (high - low) / 200)`, bit by bit: 200 or 201 values, by the rounding of the division;
  /// every value is the first plus a multiple of the difference of the first two.
  static func thresholds(from low: Double, to high: Double) -> [Double] {
    let step = (high - low) / 200
    let count = Int(((high - low) / step).rounded(.up))
    let difference = (low + step) - low
    return (0..<count).map { $0 == 1 ? low + step : low + Double($0) * difference }
  }
}
