import Diagnostics

/// The pixels of some anomaly maps, collected image by image for `PixelMetrics`: 4 bytes for a background pixel,
/// 8 for a defect's.
public struct PixelScores: Sendable {
  public let width: Int
  public let height: Int
  /// Keys that rise as scores fall.
  private var background: [UInt32] = []
  /// Such a key in the upper half, the region's number in the lower.
  private var defects: [UInt64] = []
  /// Pixels of each region.
  private(set) var areas: [Int] = []

  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }

  var backgroundCount: Int { background.count }
  /// Of the keys.
  var byteCount: Int { 4 * background.count + 8 * defects.count }

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

  consuming func sorted() -> SortedPixels { SortedPixels(background: background, defects: defects) }
}

/// The keys of some pixels, the highest score first.
struct SortedPixels {
  private(set) var background: [UInt32]
  /// Pixels of one score by the numbers of their regions: then the order of the keys is one whatever they came from.
  private(set) var defects: [UInt64]

  /// Sorts the keys, which are as those of `PixelScores`.
  init(background: consuming [UInt32], defects: consuming [UInt64]) {
    self.background = background
    self.defects = defects
    radixSort(&self.background, bits: 0..<32)
    radixSort(&self.defects, bits: 0..<64)
  }
}
