import Diagnostics
import Imagery

/// Draws anomaly maps over the images they belong to, on one scale for a whole set.
public struct ResultPictures: Sendable {
  public let scale: HeatMapScale

  public init(scale: HeatMapScale) { self.scale = scale }

  /// The image with its heat map over it. The higher a value, the more it covers: where nothing is anomalous, the
  /// image shows.
  /// - Parameters:
  ///   - image: of any size and shape, which the result has too.
  ///   - map: `side` x `side` anomaly values over the whole image, row by row.
  /// - Throws: `Failure` of `.badData` for sizes that do not fit, of `.internalError` for a value that is not finite.
  public func overlay(image: Raster, map: [Float], side: Int) throws -> Raster {
    try requireSize(map.count, side, "an anomaly map")
    try requireFinite(map)
    // Grey where the heat is: a colorful image does not mix its colors into the scale's.
    let luma = image.inGrey().pixels
    var picture = image.inColor()
    let columns = Sampling(from: side, to: image.width)
    let rows = Sampling(from: side, to: image.height)
    picture.pixels.withUnsafeMutableBufferPointer { pixels in
      for y in 0..<image.height {
        for x in 0..<image.width {
          let place = scale.place(of: Self.sample(map, side: side, row: rows.points[y], column: columns.points[x]))
          let (toGrey, cover) = (Self.fade(place, from: 0, to: 0.35), 0.7 * Self.fade(place, from: 0, to: 0.6))
          if toGrey == 0 { continue }
          let heat = ColorMap.color(at: place)
          let index = y * image.width + x
          let grey = Double(luma[index])
          for channel in 0..<3 {
            let own = Double(pixels[3 * index + channel])
            let base = own + (grey - own) * toGrey
            pixels[3 * index + channel] = UInt8(base + (Double(heat[channel]) - base) * cover + 0.5)
          }
        }
      }
    }
    return picture
  }

  /// Image, heat map over the image, and, where there is a mask, the image with the mask outlined, side by side.
  /// - Parameter mask: the true defect pixels, `side` x `side`.
  /// - Throws: as `overlay`.
  public func panel(image: Raster, map: [Float], side: Int, mask: [Bool]? = nil) throws -> Raster {
    var parts = [image, try overlay(image: image, map: map, side: side)]
    if let mask { parts.append(try Self.outlined(image, mask: mask, side: side)) }
    return try contactSheet(parts, columns: parts.count, gap: max(2, image.width / 64))
  }

  /// The image, and beside it the image with its heat map and an outline around its regions, under a bar that says the verdict: plain where
  /// the image is normal, hazard stripes where it is anomalous.
  ///
  /// The longer side of each is between 512 and 1024 pixels.
  /// - Parameters:
  ///   - regions: `side` x `side` pixels over the whole image, row by row.
  ///   - extent: the value that pixels of regions have at least.
  /// - Throws: as `overlay`.
  public func verdict(
    image: Raster, map: [Float], side: Int, regions: [Bool], extent: Double, isAnomalous: Bool
  ) throws -> Raster {
    let longer = max(image.width, image.height)
    let size = min(max(longer, 512), 1024)
    func scaled(_ length: Int) -> Int { max(1, length * size / longer) }
    let image = image.resized(width: scaled(image.width), height: scaled(image.height))
    let overlay = Self.outlined(
      try overlay(image: image, map: map, side: side),
      inside: Self.enlarged(regions, map: map, side: side, extent: extent, width: image.width, height: image.height))
    let gap = max(2, size / 64)
    let panel = try contactSheet([image, overlay], columns: 2, gap: gap)
    var picture = Raster(width: panel.width, height: panel.height + 3 * gap, channels: 3, filledWith: 255)
    for y in 0..<2 * gap {
      for x in 0..<panel.width {
        let isStriped = isAnomalous && (x + y) / (2 * gap) % 2 == 1
        let color = isStriped ? SIMD3(0, 0, 0) : isAnomalous ? Self.anomalousColor : Self.normalColor
        for channel in 0..<3 { picture.pixels[3 * (y * panel.width + x) + channel] = color[channel] }
      }
    }
    picture.pixels.replaceSubrange((9 * gap * panel.width)..., with: panel.pixels)
    return picture
  }

  /// Regions of a map at the size of a picture, their edges smooth.
  private static func enlarged(
    _ regions: [Bool], map: [Float], side: Int, extent: Double, width: Int, height: Int
  ) -> [Bool] {
    // Between the pixels of a region and those around it the value is that of the edge somewhere.
    let around = grown(regions, width: side, height: side)
    let (columns, rows) = (Sampling(from: side, to: width), Sampling(from: side, to: height))
    return (0..<width * height).map { index in
      let (x, y) = (index % width, index / width)
      return around[y * side / height * side + x * side / width]
        && sample(map, side: side, row: rows.points[y], column: columns.points[x]) >= extent
    }
  }

  /// Told apart by color-blind people too (M. Okabe, K. Ito, 2008).
  private static let normalColor = SIMD3<UInt8>(0, 158, 115)
  private static let anomalousColor = SIMD3<UInt8>(230, 159, 0)

  /// The image with an outline around the defect: on the pixels just outside, so that small defects stay visible, and
  /// around it a darkened one.
  /// - Parameters:
  ///   - image: of any size and shape, which the result has too.
  ///   - mask: `side` x `side` defect pixels over the whole image, row by row.
  /// - Throws: `Failure` of `.badData` for a mask of another size.
  public static func outlined(_ image: Raster, mask: [Bool], side: Int) throws -> Raster {
    try requireSize(mask.count, side, "a mask")
    let (width, height) = (image.width, image.height)
    var inside = [Bool](repeating: false, count: width * height)
    for y in 0..<height {
      let row = y * side / height * side
      for x in 0..<width { inside[y * width + x] = mask[row + x * side / width] }
    }
    return outlined(image, inside: inside)
  }

  /// - Parameter inside: pixels of the image.
  private static func outlined(_ image: Raster, inside: [Bool]) -> Raster {
    let (width, height) = (image.width, image.height)
    // One pixel thick at the usual sizes, thicker where the picture is large.
    let thickness = max(1, (min(width, height) + 128) / 256)
    func grown(_ region: [Bool]) -> [Bool] {
      (0..<thickness).reduce(region) { region, _ in Self.grown(region, width: width, height: height) }
    }
    let line = grown(inside)
    let casing = grown(line)
    var picture = image.inColor()
    for index in casing.indices where casing[index] && !inside[index] {
      for channel in 0..<3 {
        // The casing keeps the line visible on a light image.
        let own = picture.pixels[3 * index + channel]
        picture.pixels[3 * index + channel] = line[index] ? outlineColor[channel] : own / 2
      }
    }
    return picture
  }

  /// Opposite in hue to the hot end of the heat map, and lighter than its cold end.
  static let outlineColor = SIMD3<UInt8>(40, 225, 255)

  /// The region with its 8 neighbours.
  private static func grown(_ region: [Bool], width: Int, height: Int) -> [Bool] {
    var result = region
    for y in 0..<height {
      for x in 0..<width where region[y * width + x] {
        for row in max(0, y - 1)...min(height - 1, y + 1) {
          for column in max(0, x - 1)...min(width - 1, x + 1) { result[row * width + column] = true }
        }
      }
    }
    return result
  }

  /// From 0 at `start` to 1 at `end`, smooth at both.
  private static func fade(_ x: Double, from start: Double, to end: Double) -> Double {
    let share = min(max((x - start) / (end - start), 0), 1)
    return share * share * (3 - 2 * share)
  }

  private static func sample(_ map: [Float], side: Int, row: Sampling.Point, column: Sampling.Point) -> Double {
    func along(_ y: Int) -> Double {
      let left = Double(map[y * side + column.lower])
      return left + (Double(map[y * side + column.upper]) - left) * column.share
    }
    let top = along(row.lower)
    return top + (along(row.upper) - top) * row.share
  }
}

private func requireSize(_ count: Int, _ side: Int, _ what: String) throws {
  guard side > 0, count == side * side else {
    throw Failure(.badData, "picture of results: \(what) of \(count) pixels is not \(side) x \(side)")
  }
}

/// Pictures in rows of `columns`, each at the top left of a cell as large as the largest, on white.
/// - Parameters:
///   - pictures: at least one, of any sizes.
///   - gap: pixels between the cells.
/// - Returns: a picture in color.
/// - Throws: `Failure` of `.badData` where there is no picture or no column.
public func contactSheet(_ pictures: [Raster], columns: Int, gap: Int = 6) throws -> Raster {
  guard let first = pictures.first, columns > 0, gap >= 0 else {
    throw Failure(.badData, "contact sheet: \(pictures.count) pictures cannot be laid out in \(columns) columns")
  }
  let columns = min(columns, pictures.count)
  let rows = (pictures.count + columns - 1) / columns
  let cell = pictures.reduce((width: first.width, height: first.height)) {
    (max($0.width, $1.width), max($0.height, $1.height))
  }
  var sheet = Raster(
    width: columns * (cell.width + gap) - gap, height: rows * (cell.height + gap) - gap, channels: 3, filledWith: 255)
  for (index, picture) in pictures.enumerated() {
    let left = index % columns * (cell.width + gap)
    let top = index / columns * (cell.height + gap)
    let pixels = picture.inColor().pixels
    for y in 0..<picture.height {
      let start = 3 * ((top + y) * sheet.width + left)
      sheet.pixels.replaceSubrange(
        start..<start + 3 * picture.width, with: pixels[3 * y * picture.width..<3 * (y + 1) * picture.width])
    }
  }
  return sheet
}

/// Between which two of `from` pixels, and where between them, each of `to` pixels lies; pixels are areas, as in
/// pictures.
private struct Sampling {
  struct Point {
    let lower: Int
    let upper: Int
    let share: Double
  }

  let points: [Point]

  init(from: Int, to: Int) {
    points = (0..<to).map { index in
      let position = min(max((Double(index) + 0.5) * Double(from) / Double(to) - 0.5, 0), Double(from - 1))
      let lower = Int(position)
      return Point(lower: lower, upper: min(lower + 1, from - 1), share: position - Double(lower))
    }
  }
}
