/// A connected part of an anomaly map that stands out.
public struct AnomalousRegion: Sendable, Equatable {
  /// Columns and rows of its bounding box.
  public let columns: Range<Int>
  public let rows: Range<Int>
  /// Its pixels.
  public let area: Int
  /// Its largest value, and the first pixel that has it.
  public let peak: Float
  public let peakColumn: Int
  public let peakRow: Int

  /// The regions of pixels of at least `extent` in which some pixel has at least `peak`, by falling peak: thresholding with hysteresis
  /// (J. Canny, 1986). The peak says that something is there, the extent how far it goes.
  /// - Parameters:
  ///   - map: `width` x `height` values, row by row.
  ///   - extent: at most `peak`.
  /// - Returns: the regions, and the pixels that belong to one.
  /// - Throws: `Failure` where the map is of another size or holds values that are not finite.
  public static func find(
    in map: [Float], width: Int, height: Int, peak: Double, extent: Double
  ) throws -> (regions: [AnomalousRegion], mask: [Bool]) {
    try requireMap(map, width: width, height: height)
    let labels = try ConnectedRegions(of: map.map { Double($0) >= extent }, width: width, height: height)
    var members = [[Int]](repeating: [], count: labels.count)
    for (pixel, label) in labels.labels.enumerated() where label > 0 { members[Int(label) - 1].append(pixel) }
    var mask = [Bool](repeating: false, count: map.count)
    var regions: [AnomalousRegion] = []
    for pixels in members {
      guard let first = pixels.first, let last = pixels.last else { continue }
      let highest = pixels.reduce(first) { map[$1] > map[$0] ? $1 : $0 }
      guard Double(map[highest]) >= peak else { continue }
      let columns = pixels.map { $0 % width }
      regions.append(
        AnomalousRegion(
          columns: (columns.min() ?? 0)..<(columns.max() ?? 0) + 1, rows: first / width..<last / width + 1,
          area: pixels.count, peak: map[highest], peakColumn: highest % width, peakRow: highest / width))
      for pixel in pixels { mask[pixel] = true }
    }
    return (
      regions.enumerated().sorted { ($0.element.peak, $1.offset) > ($1.element.peak, $0.offset) }.map(\.element), mask
    )
  }
}
