/// A part of a convolution's weights: `slices` x `rows` runs of `columns` weights.
public struct WeightBlock: Sendable {
  /// The first weight.
  public let start: Int
  let slices: Int
  let sliceStride: Int
  let rows: Int
  let rowStride: Int
  let columns: Int

  init(start: Int, slices: Int = 1, sliceStride: Int = 0, rows: Int, rowStride: Int, columns: Int) {
    self.start = start
    self.slices = slices
    self.sliceStride = sliceStride
    self.rows = rows
    self.rowStride = rowStride
    self.columns = columns
  }

  public var count: Int { slices * rows * columns }

  /// Whether the block's weights follow each other.
  public var isContiguous: Bool {
    (rows == 1 || rowStride == columns) && (slices == 1 || sliceStride == rows * columns)
  }

  /// Part `part` in `count` of the slices, or of the only slice's rows, which may be empty, and where it begins in the dense block.
  func part(_ part: Int, of count: Int) -> (block: WeightBlock, offset: Int) {
    let own = evenRange(part, of: count, count: slices > 1 ? slices : rows)
    return slices > 1
      ? (
        WeightBlock(
          start: start + own.lowerBound * sliceStride, slices: own.count, sliceStride: sliceStride, rows: rows,
          rowStride: rowStride, columns: columns), own.lowerBound * rows * columns
      )
      : (
        WeightBlock(start: start + own.lowerBound * rowStride, rows: own.count, rowStride: rowStride, columns: columns),
        own.lowerBound * columns
      )
  }

  /// Writes a dense block to its places among all weights.
  public func scatter(_ block: UnsafePointer<Float>, to weights: UnsafeMutablePointer<Float>) {
    var source = block
    for slice in 0..<slices {
      for row in 0..<rows {
        (weights + start + slice * sliceStride + row * rowStride).update(from: source, count: columns)
        source += columns
      }
    }
  }
}
