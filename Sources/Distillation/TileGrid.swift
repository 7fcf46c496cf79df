/// Squares of one size, the tiles, that cover a larger square in rows and columns. Neighbours share a quarter of their side.
///
/// A picture that is much larger than the network's input is cut so. Each tile is an input of its own, and the anomaly maps of all are brought
/// together without seams: where tiles overlap, the one's share falls in a straight line as the other's rises.
public struct TileGrid: Sendable, Equatable {
  /// Tiles in a row, and rows.
  public let perSide: Int
  /// Height and width of a tile, in pixels.
  public let tileSide: Int

  public init(perSide: Int, tileSide: Int) {
    precondition(perSide >= 1 && tileSide >= 1, "a grid of tiles has at least one pixel")
    self.perSide = perSide
    self.tileSide = tileSide
  }

  public var count: Int { perSide * perSide }
  /// Pixels that neighbours share in one direction.
  public var overlap: Int { tileSide / 4 }
  /// From the begin of a tile to the next one's.
  private var stride: Int { tileSide - overlap }
  /// Height and width of the square that is covered.
  public var side: Int { tileSide + (perSide - 1) * stride }

  /// The upper left corner of a tile; tiles are numbered row by row.
  public func origin(of tile: Int) -> (x: Int, y: Int) { (tile % perSide * stride, tile / perSide * stride) }

  /// What tiles have to say about a line or column of pixels, in one direction.
  /// - Returns: one tile or two, where in them the pixel lies, and their shares, which add up to 1.
  func shares(ofPixel pixel: Int) -> [(tile: Int, place: Int, share: Double)] {
    let last = min(pixel / stride, perSide - 1)
    let place = pixel - last * stride
    guard last > 0, place < overlap else { return [(last, place, 1)] }
    let share = (Double(place) + 0.5) / Double(overlap)
    return [(last - 1, place + stride, 1 - share), (last, place, share)]
  }
}
