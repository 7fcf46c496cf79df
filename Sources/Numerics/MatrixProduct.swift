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
struct RowBlocks {
  /// OpenBLAS's own limit to what is small, in multiply-adds.
  static let smallProduct = 1_000_000

  let rows: Int
  let count: Int
  /// The most rows that a block can have, for this or any smaller number of images.
  let longest: Int

  /// - Parameters:
  ///   - preferred: rows of a block where that is possible.
  init(images: Int, rowsPerImage: Int, columns: Int, depth: Int, preferred: Int) {
    rows = images * rowsPerImage
    if rowsPerImage * columns * depth <= Self.smallProduct {
      count = images
      longest = rowsPerImage
    } else {
      // Blocks have at least `wanted` rows, or are all there is.
      let wanted = max(preferred, Self.smallProduct / (columns * depth) + 1)
      count = max(rows / wanted, min(images, 1))
      longest = min(rows, 2 * wanted)
    }
  }

  subscript(block: Int) -> Range<Int> { evenRange(block, of: count, count: rows) }
}

/// What OpenBLAS computes with, such as "SkylakeX".
public func matrixProductCoreName() -> String { String(cString: openblas_get_corename()) }

/// Keeps OpenBLAS from starting threads of its own: the team's threads call it side by side.
func useOneThreadPerMatrixProduct() { openblas_set_num_threads(1) }
