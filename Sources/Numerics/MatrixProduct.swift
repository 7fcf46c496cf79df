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
/// OpenBLAS's kernels for AVX-512 give a row the same bits whatever rows are computed with it, but for products that are small: they go
/// another way, which depends on the number of rows. Where one image is that small, each call therefore gets one image, and otherwise no
/// call gets so few rows. With other kernels a row's bits depend on its place among the 12 that are computed together, and on whether it
/// is left over at the end: there no call gets rows of two images, so that a row's place in its call is always the same.
struct RowBlocks {
  /// OpenBLAS's own limit to what is small, in multiply-adds.
  static let smallProduct = 1_000_000
  /// Whether a row's bits are the same in every product that is not small.
  static let rowsAreAlike = wideCores.contains(matrixProductCoreName())
  /// How many rows the bits of a row depend on: its place among them counts, and that they are all there.
  static let group = rowsAreAlike ? 1 : 12

  let rows: Int
  let count: Int
  /// The most rows that a block can have, for this or any smaller number of images.
  let longest: Int
  /// Where no block has rows of two images.
  private let image: (rows: Int, blocks: Int)?

  /// - Parameters:
  ///   - preferred: rows of a block where that is possible.
  init(
    images: Int, rowsPerImage: Int, columns: Int, depth: Int, preferred: Int, rowsAreAlike: Bool = Self.rowsAreAlike
  ) {
    rows = images * rowsPerImage
    // Blocks have at least `wanted` rows, or are all there is.
    let wanted = max(preferred, Self.smallProduct / (columns * depth) + 1)
    let isSmall = rowsPerImage * columns * depth <= Self.smallProduct
    if isSmall || !rowsAreAlike {
      let blocks = max(rowsPerImage / wanted, 1)
      image = (rowsPerImage, blocks)
      count = images * blocks
      longest = (rowsPerImage + blocks - 1) / blocks
    } else {
      image = nil
      count = max(rows / wanted, min(images, 1))
      longest = min(rows, 2 * wanted)
    }
  }

  subscript(block: Int) -> Range<Int> {
    guard let image else { return evenRange(block, of: count, count: rows) }
    let range = evenRange(block % image.blocks, of: image.blocks, count: image.rows)
    let first = block / image.blocks * image.rows
    return first + range.lowerBound..<first + range.upperBound
  }
}

/// The kernels of OpenBLAS for AVX-512.
let wideCores: Set<String> = ["SkylakeX", "Cooperlake", "SapphireRapids"]

/// What OpenBLAS computes with, such as "SkylakeX".
public func matrixProductCoreName() -> String { String(cString: openblas_get_corename()) }

/// Keeps OpenBLAS from starting threads of its own: the team's threads call it side by side.
func useOneThreadPerMatrixProduct() { openblas_set_num_threads(1) }
