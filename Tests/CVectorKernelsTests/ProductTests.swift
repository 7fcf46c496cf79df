import CVectorKernels
import TestSupport
import Testing

/// The products with panels against double precision, and their bits in every way of cutting them.
@Suite struct ProductTests {
  private static let rows = Array(1...13) + [16, 17, 25, 32, 33, 200]
  private static let columns = [1, 31, 32, 33, 64, 100]
  private static let depths = [1, 2, 31, 512, 513, 1100]
  private static let (mostRows, mostColumns, mostDepth) = (200, 100, 1100)

  enum Kind: CaseIterable, Sendable { case fp32, bf16 }

  /// Both factors in both orientations, as large as any test needs. Depths are in words, which in bf16 are two numbers each.
  private struct Factors: Sendable {
    let kind: Kind
    /// a, rows x depth and depth x rows, and b in panels: floats, or bit patterns of pairs.
    let a, turned, b: [UInt32]
    /// The numbers that a and b hold.
    let left, right: [Double]
    /// Numbers of a word.
    let step: Int
    let panelStride = mostDepth * panel + 7

    init(_ kind: Kind) {
      self.kind = kind
      let (rows, columns) = (mostRows, mostColumns)
      let step = kind == .fp32 ? 1 : 2
      let depth = mostDepth * step
      let numbers = (a: randomNumbers(rows * depth, seed: 1), b: randomNumbers(depth * columns, seed: 2))
      func exact(_ x: [Float]) -> [Double] { x.map { Double(kind == .fp32 ? $0 : bf16($0)) } }
      (left, right) = (exact(numbers.a), exact(numbers.b))
      func word(_ x: [Float], _ index: Int, _ next: Int) -> UInt32 {
        kind == .fp32 ? x[index].bitPattern : pair(x[index], x[next])
      }
      self.step = step
      a = (0..<rows * mostDepth).map { word(numbers.a, $0 * step, $0 * step + step - 1) }
      turned = (0..<mostDepth * rows).map { index in
        let start = index % rows * depth + index / rows * step
        return word(numbers.a, start, start + step - 1)
      }
      var b = [UInt32](repeating: 0, count: panels(columns) * panelStride)
      for k in 0..<mostDepth {
        for c in 0..<columns {
          b[c / panel * panelStride + k * panel + c % panel] = word(
            numbers.b, k * step * columns + c, (k * step + step - 1) * columns + c)
        }
      }
      self.b = b
    }

    /// a * b in double precision, up to each of the depths.
    func products() -> [Int: [Double]] {
      let (rows, columns) = (mostRows, mostColumns)
      let depth = mostDepth * step
      var (sums, results) = ([Double](repeating: 0, count: rows * columns), [Int: [Double]]())
      for k in 0..<mostDepth {
        for number in k * step..<(k + 1) * step {
          for row in 0..<rows {
            let factor = left[row * depth + number]
            for column in 0..<columns { sums[row * columns + column] += factor * right[number * columns + column] }
          }
        }
        if depths.contains(k + 1) { results[k + 1] = sums }
      }
      return results
    }
  }

  private static let fp32Factors = Factors(.fp32)
  private static let bf16Factors = Factors(.bf16)
  private static func factors(_ kind: Kind) -> Factors { kind == .fp32 ? fp32Factors : bf16Factors }

  /// What a product adds to, and what must stay as it is.
  private static let before = randomNumbers(mostRows * mostColumns, seed: 3)
  private static let gap: Float = 7

  /// A part of the product, into a part of `c`, whose rows are `stride` apart.
  private func multiply(
    _ level: Level, _ factors: Factors, isTurned: Bool, rows: Range<Int>, columns: Range<Int>, depth: Range<Int>,
    into c: inout [Float], stride: Int, adding: Bool
  ) {
    let (rowStride, depthStride) = isTurned ? (1, Self.mostRows) : (Self.mostDepth, 1)
    let a = isTurned ? factors.turned : factors.a
    a.withUnsafeBufferPointer { a in
      factors.b.withUnsafeBufferPointer { b in
        c.withUnsafeMutableBufferPointer { c in
          let a = a.baseAddress! + rows.lowerBound * rowStride + depth.lowerBound * depthStride
          let b = b.baseAddress! + columns.lowerBound / panel * factors.panelStride + depth.lowerBound * panel
          let c = c.baseAddress! + rows.lowerBound * stride + columns.lowerBound
          rd_multiply_panels(
            level.rawValue, factors.kind == .bf16 ? 1 : 0, a, rowStride, depthStride, b, factors.panelStride,
            rows.count,
            columns.count, depth.count, c, stride, adding ? 1 : 0, nil)
        }
      }
    }
  }

  /// The product's first rows, columns and depth. What lies between and behind the rows of c stays as it was.
  private func product(
    _ level: Level, _ factors: Factors, isTurned: Bool, rows: Int, columns: Int, depth: Int, adding: Bool
  ) -> [Float] {
    let stride = columns + 3
    var c = [Float](repeating: Self.gap, count: rows * stride + panel)
    for row in 0..<rows {
      for column in 0..<columns {
        c[row * stride + column] = adding ? Self.before[row * Self.mostColumns + column] : .nan
      }
    }
    multiply(
      level, factors, isTurned: isTurned, rows: 0..<rows, columns: 0..<columns, depth: 0..<depth, into: &c,
      stride: stride, adding: adding)
    var result: [Float] = []
    var isIntact = c[(rows * stride)...].allSatisfy { $0 == Self.gap }
    for row in 0..<rows {
      let line = c[row * stride..<(row + 1) * stride]
      result += line.prefix(columns)
      isIntact = isIntact && line.dropFirst(columns).allSatisfy { $0 == Self.gap }
    }
    #expect(isIntact, "\(level), \(rows) x \(depth) x \(columns) wrote beyond the result")
    return result
  }

  /// Levels whose bits are those of others.
  private func equals(_ level: Level, _ kind: Kind) -> Level? {
    switch (kind, level) {
    case (.fp32, .avx512), (.fp32, .avx512WithBF16), (.fp32, .amx): .avx2
    // Products of two bf16 are exact, so it is no matter whether they are rounded before they are added.
    case (.bf16, .avx2), (.bf16, .avx512): .portable
    default: nil
    }
  }

  /// Every size, orientation and level. Each of a sum's steps is off by 2^-24 of a sum that seldom is beyond the root of its terms: all of them
  /// together by less than 2^-23 a term.
  @Test(arguments: Kind.allCases, [false, true])
  func agreesWithDoublePrecision(kind: Kind, isTurned: Bool) {
    let factors = Self.factors(kind)
    let products = factors.products()
    for depth in Self.depths {
      let expected = products[depth] ?? []
      for columns in Self.columns {
        for rows in Self.rows {
          for adding in [false, true] {
            var results: [Level: [Float]] = [:]
            for level in Level.available {
              let terms = Double(depth * factors.step + (adding ? 1 : 0))
              let result = product(
                level, factors, isTurned: isTurned, rows: rows, columns: columns, depth: depth, adding: adding)
              results[level] = result
              let size = "\(level), \(rows) x \(depth) x \(columns), adding \(adding)"
              let isSame = equals(level, kind).flatMap { results[$0] }.map { $0.bits == result.bits } ?? true
              #expect(isSame, "\(size)")
              var (largest, hasNaN) = (0.0, false)
              for row in 0..<rows {
                for column in 0..<columns {
                  let index = row * Self.mostColumns + column
                  let before = adding ? Double(Self.before[index]) : 0
                  let error = abs(Double(result[row * columns + column]) - expected[index] - before)
                  hasNaN = hasNaN || error.isNaN
                  largest = max(largest, error)
                }
              }
              Measured.note("product \(kind) \(level)", largest / terms)
              #expect(largest < terms * 0x1p-23 && !hasNaN, "\(size)")
            }
          }
        }
      }
    }
  }

  /// Rows, columns and depth in several calls give the bits of a single one.
  @Test(arguments: Kind.allCases, Level.available)
  func bitsDoNotDependOnHowAProductIsCut(kind: Kind, level: Level) {
    let factors = Self.factors(kind)
    let (rows, columns, depth) = (25, 100, Self.mostDepth)
    for isTurned in [false, true] {
      let expected = product(
        level, factors, isTurned: isTurned, rows: rows, columns: columns, depth: depth, adding: false)
      for rowCuts in [[], [1], [12], [7, 8, 20]] {
        for columnCuts in [[], [32], [64], [32, 64, 96]] {
          for var depthCuts in [[], [1], [512], [31, 300, 1099]] {
            if (kind, level) == (.bf16, .amx) { depthCuts = depthCuts.map { max(16, $0 / 16 * 16) } }
            var c = [Float](repeating: .nan, count: rows * columns)
            for rows in ranges(rowCuts, to: rows) {
              for columns in ranges(columnCuts, to: columns) {
                for depth in ranges(depthCuts, to: depth) {
                  multiply(
                    level, factors, isTurned: isTurned, rows: rows, columns: columns, depth: depth, into: &c,
                    stride: 100, adding: depth.lowerBound > 0)
                }
              }
            }
            let isSame = c.bits == expected.bits
            #expect(isSame, "cut at rows \(rowCuts), columns \(columnCuts), depth \(depthCuts)")
          }
        }
      }
    }
  }

  private func ranges(_ cuts: [Int], to end: Int) -> [Range<Int>] {
    zip([0] + cuts, cuts + [end]).map { $0..<$1 }
  }

  /// What the caches are asked for on the way changes no bit, and ends where the area does.
  @Test(arguments: Level.available, [1, 3, 200])
  func whatIsAskedForAheadChangesNothing(level: Level, runs: Int) {
    let (rows, columns, depth) = (40, 2 * panel, 64)
    let a = (0..<rows * depth).map { Float($0 % 7) - 3 }
    let b = (0..<depth * columns).map { Float($0 % 5) - 2 }
    let memory = [CChar](repeating: 0, count: 1000)
    func product(_ ahead: UnsafeMutablePointer<rd_ahead>?) -> [Float] {
      var c = [Float](repeating: 0, count: rows * columns)
      rd_multiply_panels(
        level.rawValue, 0, a, depth, 1, b, depth * panel, rows, columns, depth, &c, columns, 0, ahead)
      return c
    }
    memory.withUnsafeBufferPointer { memory in
      // Runs of two lines, of which the second is not whole.
      let area = rd_area(next: memory.baseAddress, left: 100, bytes: 100, stride: 300, runs: runs)
      var ahead = rd_ahead(first: area, second: rd_area())
      #expect(product(&ahead) == product(nil))
      // At least 16 lines were asked for with each of the four tiles of 12 rows or fewer of two panels.
      #expect(runs > 64 ? ahead.first.runs <= runs - 64 : ahead.first.runs == 0)
      #expect(ahead.first.next - memory.baseAddress! == 300 * (runs - ahead.first.runs) + 100 - ahead.first.left)
      #expect(ahead.second.runs == 0)
    }
  }

  /// What is no number stays where it is.
  @Test(arguments: Level.available)
  func infinityAndNaNComeThrough(level: Level) {
    let a: [Float] = [1, .infinity, .nan]
    var b = [Float](repeating: 0, count: panel)
    b[0] = 2
    b[31] = -1
    for columns in [32, 1] {
      var c = [Float](repeating: 0, count: 3 * columns)
      rd_multiply_panels(level.rawValue, 0, a, 1, 3, b, panel, 3, columns, 1, &c, columns, 0, nil)
      #expect(c[0] == 2 && c[columns] == .infinity && c[2 * columns].isNaN)
      if columns == 32 { #expect(c[31] == -1 && c[63] == -.infinity && c[33].isNaN) }
    }
  }
}
