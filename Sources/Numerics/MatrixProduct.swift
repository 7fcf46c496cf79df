import COpenBLAS

/// A row-major matrix in memory, or its transpose.
struct Matrix {
  let start: UnsafePointer<Float>
  /// The distance between two rows, in floats.
  let stride: Int
  var isTransposed = false
}

/// c = a * b, or c += a * b; `rows` x `depth` by `depth` x `columns`. On the calling thread alone.
func multiply(
  _ a: Matrix, _ b: Matrix, rows: Int, columns: Int, depth: Int, into c: UnsafeMutablePointer<Float>, stride: Int,
  adding: Bool = false
) {
  cblas_sgemm(
    CblasRowMajor, a.isTransposed ? CblasTrans : CblasNoTrans, b.isTransposed ? CblasTrans : CblasNoTrans,
    blasint(rows), blasint(columns), blasint(depth), 1, a.start, blasint(a.stride), b.start, blasint(b.stride),
    adding ? 1 : 0, c, blasint(stride))
}

/// How the rows of a product are cut into calls.
///
/// OpenBLAS gives a row the same bits whatever rows are computed with it, but for products that are small: they go another way, which
/// depends on the number of rows. Where one image is that small, each call therefore gets one image, and otherwise no call gets so few rows.
///
/// So it is with the kernels for 512-bit vectors. Others compute the rows that are left over from their blocks in another way
/// (``rowsOfProductsAreIndependent``): with those, images never share a call.
struct RowBlocks {
  /// OpenBLAS's own limit to what is small, in multiply-adds.
  static let smallProduct = 1_000_000

  let count: Int
  /// The most rows that a block can have, for this or any smaller number of images.
  let longest: Int
  private let rows: Int
  /// Blocks of an image, where none reaches into another.
  private let blocksPerImage: Int?

  /// - Parameters:
  ///   - preferred: rows of a block where that is possible.
  init(images: Int, rowsPerImage: Int, columns: Int, depth: Int, preferred: Int) {
    let isSmall = rowsPerImage * columns * depth <= Self.smallProduct
    if isSmall || !rowsOfProductsAreIndependent {
      let parts = isSmall ? 1 : max(rowsPerImage / preferred, 1)
      blocksPerImage = parts
      count = images * parts
      rows = rowsPerImage
      longest = (rowsPerImage + parts - 1) / parts
    } else {
      // Blocks have at least `wanted` rows, or are all there is.
      let wanted = max(preferred, Self.smallProduct / (columns * depth) + 1)
      blocksPerImage = nil
      rows = images * rowsPerImage
      count = max(rows / wanted, min(images, 1))
      longest = min(rows, 2 * wanted)
    }
  }

  subscript(block: Int) -> Range<Int> {
    guard let blocksPerImage else { return evenRange(block, of: count, count: rows) }
    let part = evenRange(block % blocksPerImage, of: blocksPerImage, count: rows)
    let first = block / blocksPerImage * rows
    return first + part.lowerBound..<first + part.upperBound
  }
}

/// Whether OpenBLAS, as it was started, gives a row of a product the same bits whatever rows are computed with it. Tried out, because it
/// is a property of the kernel that OpenBLAS chooses for the processor.
let rowsOfProductsAreIndependent: Bool = {
  let (rows, columns, depth) = (128, 96, 128)
  func numbers(_ count: Int) -> [Float] { (0..<count).map { Float($0 * 7919 % 1009) / 1009 - 0.5 } }
  let (a, b) = (numbers(rows * depth), numbers(depth * columns))
  var all = [Float](repeating: 0, count: rows * columns)
  var first = all
  func product(rows: Int, into c: UnsafeMutablePointer<Float>) {
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        guard let a = a.baseAddress, let b = b.baseAddress else { return }
        multiply(
          Matrix(start: a, stride: depth), Matrix(start: b, stride: columns), rows: rows, columns: columns,
          depth: depth, into: c, stride: columns)
      }
    }
  }
  product(rows: rows, into: &all)
  return (RowBlocks.smallProduct / (columns * depth) + 1..<rows).allSatisfy { count in
    product(rows: count, into: &first)
    return first.prefix(count * columns) == all.prefix(count * columns)
  }
}()

/// What OpenBLAS computes with, such as "SkylakeX".
public func matrixProductCoreName() -> String { String(cString: openblas_get_corename()) }

/// Keeps OpenBLAS from starting threads of its own: the team's threads call it side by side.
func useOneThreadPerMatrixProduct() { openblas_set_num_threads(1) }
