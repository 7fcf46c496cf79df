import CVectorKernels
import TestSupport
import Testing

/// Bringing matrices into the forms that products want. What lies beside the result stays as it was.
@Suite struct PackingTests {
  private static let rows = [1, 2, 15, 16, 17, 31, 32, 33, 100]
  private static let columns = [1, 15, 16, 17, 31, 32, 33, 64, 100, 130, 550]
  private static let gap: UInt32 = 0x4040_4040

  /// A matrix whose rows, or columns, are three numbers further apart than they are long.
  private struct Source {
    let values: [Float]
    let rowStride, columnStride: Int

    init(rows: Int, columns: Int, isTurned: Bool) {
      (rowStride, columnStride) = isTurned ? (1, rows + 3) : (columns + 3, 1)
      values = randomNumbers((rows + 3) * (columns + 3), seed: 1)
    }

    subscript(row: Int, column: Int) -> Float { values[row * rowStride + column * columnStride] }
  }

  @Test(arguments: [false, true])
  func panelsOfFloats(isTurned: Bool) {
    for rows in Self.rows {
      for columns in Self.columns {
        let source = Source(rows: rows, columns: columns, isTurned: isTurned)
        let stride = rows * panel + 5
        var packed = [Float](repeating: Float(bitPattern: Self.gap), count: panels(columns) * stride)
        rd_pack_panels(source.values, source.rowStride, source.columnStride, rows, columns, &packed, stride)
        let expected = panelled(rows: rows, columns: columns, stride: stride) { source[$0, $1].bitPattern }
        let isSame = packed.bits == expected
        #expect(isSame, "\(rows) x \(columns)")
      }
    }
  }

  @Test(arguments: [false, true])
  func panelsOfPairs(isTurned: Bool) {
    for rows in Self.rows {
      for columns in Self.columns {
        let source = Source(rows: rows, columns: columns, isTurned: isTurned)
        let words = (rows + 1) / 2
        let stride = words * panel + 5
        var packed = [UInt32](repeating: Self.gap, count: panels(columns) * stride + panel)
        if isTurned {
          rd_pair_turned_panels(source.values, source.columnStride, rows, columns, &packed, stride)
        } else {
          rd_pair_panels(source.values, 0, source.rowStride, rows, columns, &packed, stride)
        }
        let expected = panelled(rows: words, columns: columns, stride: stride) { row, column in
          pair(source[2 * row, column], 2 * row + 1 < rows ? source[2 * row + 1, column] : 0)
        }
        let isSame = packed == expected + Array(repeating: Self.gap, count: panel)
        #expect(isSame, "\(rows) x \(columns)")
      }
    }
  }

  /// The panels of a matrix, the last one filled up with zeros, with their gaps.
  private func panelled(
    rows: Int, columns: Int, stride: Int, _ value: (_ row: Int, _ column: Int) -> UInt32
  ) -> [UInt32] {
    (0..<panels(columns)).flatMap { index in
      (0..<stride).map { place -> UInt32 in
        let (row, column) = (place / panel, index * panel + place % panel)
        guard row < rows else { return Self.gap }
        return column < columns ? value(row, column) : 0
      }
    }
  }

  /// Ties, what rounds up to the next power of two or to infinity, denormals, infinities, and numbers that are none, signalling ones and such
  /// whose payload is in the lower half among them.
  private static let special: [Float] =
    [
      0x3F80_8000, 0x3F81_8000, 0x3F80_8001, 0x3F80_7FFF, 0xBF80_8000, 0xBF81_8000, 0x3FFF_8000, 0x7F7F_8000,
      0x7F7F_7FFF,
      0xFF7F_FFFF, 0, 0x8000_0000, 1, 0x8000, 0x8001, 0x7F_FFFF, 0x80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000,
      0xFFC0_0000, 0x7F80_0001, 0x7F80_8000, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7FBF_FFFF, 0xFF80_0001,
    ].map { Float(bitPattern: $0) }

  private func isRight(_ half: UInt32, for value: Float) -> Bool {
    let result = Float(bitPattern: half << 16)
    return value.isNaN ? result.isNaN : result.bitPattern == bf16(value).bitPattern
  }

  @Test func roundingOfTheTest() {
    #expect(bf16(1.00390625) == 1 && bf16(1.01171875) == 1.015625 && bf16(1.00390637) == 1.0078125)
    #expect(bf16(-1.00390625) == -1 && bf16(3.3961776e38) == .infinity && bf16(Float(bitPattern: 0x8000)) == 0)
  }

  /// Each special number in every place of a vector and behind it, in either half of a pair.
  @Test func roundingIsToTheNearestAndKeepsWhatIsNoNumber() {
    for count in [1, 2, 15, 16, 17, 32, 39] {
      for shift in Self.special.indices {
        let first = (0..<count).map { Self.special[($0 + shift) % Self.special.count] }
        let second = (0..<count).map { Self.special[($0 + shift + 5) % Self.special.count] }
        var rows = [UInt32](repeating: Self.gap, count: count + 1)
        rd_pair_rows(first + second, 0, count, 2, count, &rows, count)
        #expect(rows.removeLast() == Self.gap)
        #expect(zip(rows, first).allSatisfy { isRight($0 & 0xFFFF, for: $1) }, "\(count) columns")
        #expect(zip(rows, second).allSatisfy { isRight($0 >> 16, for: $1) }, "\(count) columns")

        var columns = [UInt32](repeating: Self.gap, count: (count + 1) / 2 + 1)
        rd_pair_columns(first, count, 1, count, &columns, columns.count)
        #expect(columns.removeLast() == Self.gap)
        let halves = columns.flatMap { [$0 & 0xFFFF, $0 >> 16] }
        #expect(zip(halves, first).allSatisfy { isRight($0, for: $1) }, "\(count) in a row")
        if count % 2 == 1 { #expect(halves.last == 0) }
      }
    }
  }

  @Test func pairsOfRowsAndColumns() {
    for rows in Self.rows {
      for columns in Self.columns {
        let source = Source(rows: rows, columns: columns, isTurned: false)
        let (high, wide) = ((rows + 1) / 2, (columns + 1) / 2)
        var paired = [UInt32](repeating: Self.gap, count: high * (columns + 2))
        rd_pair_rows(source.values, 0, source.rowStride, rows, columns, &paired, columns + 2)
        var expected = (0..<paired.count).map { place -> UInt32 in
          let (row, column) = (place / (columns + 2) * 2, place % (columns + 2))
          guard column < columns else { return Self.gap }
          return pair(source[row, column], row + 1 < rows ? source[row + 1, column] : 0)
        }
        var isSame = paired == expected
        #expect(isSame, "rows of \(rows) x \(columns)")

        paired = [UInt32](repeating: Self.gap, count: rows * (wide + 2))
        rd_pair_columns(source.values, source.rowStride, rows, columns, &paired, wide + 2)
        expected = (0..<paired.count).map { place -> UInt32 in
          let (row, column) = (place / (wide + 2), place % (wide + 2) * 2)
          guard column < columns else { return Self.gap }
          return pair(source[row, column], column + 1 < columns ? source[row, column + 1] : 0)
        }
        isSame = paired == expected
        #expect(isSame, "columns of \(rows) x \(columns)")
      }
    }
  }

  /// What is bf16 already is joined as it is.
  @Test func rowsAndPanelsOfBF16() {
    for rows in Self.rows {
      for columns in Self.columns {
        let source = Source(rows: rows, columns: columns, isTurned: false)
        let halves = source.values.map { UInt16(bf16($0).bitPattern >> 16) }
        let words = (rows + 1) / 2
        var expected = [UInt32](repeating: Self.gap, count: words * (columns + 2))
        rd_pair_rows(source.values, 0, source.rowStride, rows, columns, &expected, columns + 2)
        var joined = [UInt32](repeating: Self.gap, count: expected.count)
        rd_pair_rows(halves, 1, source.rowStride, rows, columns, &joined, columns + 2)
        var isSame = joined == expected
        #expect(isSame, "rows of \(rows) x \(columns)")

        let stride = words * panel + 5
        expected = [UInt32](repeating: Self.gap, count: panels(columns) * stride + panel)
        rd_pair_panels(source.values, 0, source.rowStride, rows, columns, &expected, stride)
        joined = [UInt32](repeating: Self.gap, count: expected.count)
        rd_pair_panels(halves, 1, source.rowStride, rows, columns, &joined, stride)
        isSame = joined == expected
        #expect(isSame, "panels of \(rows) x \(columns)")
      }
    }
  }

  /// Columns become pairs where they are.
  @Test(arguments: [2, 14, 16, 30, 100])
  func pairsOfColumnsInPlace(columns: Int) {
    let rows = 5
    let values = randomNumbers(rows * columns, seed: 1)
    var expected = [UInt32](repeating: Self.gap, count: rows * columns / 2)
    rd_pair_columns(values, columns, rows, columns, &expected, columns / 2)
    let memory = UnsafeMutablePointer<Float>.allocate(capacity: values.count)
    defer { memory.deallocate() }
    memory.update(from: values, count: values.count)
    let pairs = UnsafeMutableRawPointer(memory).assumingMemoryBound(to: UInt32.self)
    rd_pair_columns(memory, columns, rows, columns, pairs, columns / 2)
    #expect(Array(UnsafeBufferPointer(start: pairs, count: expected.count)) == expected)
  }

  @Test func transposition() {
    for rows in Self.rows {
      for columns in Self.columns {
        let source = Source(rows: rows, columns: columns, isTurned: false)
        let stride = rows + 2
        var out = [Float](repeating: Float(bitPattern: Self.gap), count: columns * stride)
        rd_transpose(source.values, source.rowStride, rows, columns, &out, stride)
        let expected = (0..<out.count).map {
          $0 % stride < rows ? source[$0 % stride, $0 / stride].bitPattern : Self.gap
        }
        let isSame = out.bits == expected
        #expect(isSame, "\(rows) x \(columns)")
      }
    }
  }
}
