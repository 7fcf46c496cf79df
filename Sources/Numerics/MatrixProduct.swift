import COpenBLAS
import Diagnostics

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

/// How the rows of a product are cut into calls, so that an image's bits do not depend on the images beside it.
///
/// OpenBLAS gives a row the same bits whatever rows are computed with it, or (``rowGroup``) whatever groups of rows. Not so where a product
/// is small: it then goes another way, which depends on the number of rows. Where one image is that small, each call gets one image, and
/// otherwise no call gets so few rows.
struct RowBlocks {
  /// OpenBLAS's own limit to what is small, in multiply-adds.
  static let smallProduct = 1_000_000

  let rows: Int
  let count: Int
  /// The most rows that a block can have, for this or any smaller number of images.
  let longest: Int
  /// Set where no block has rows of two images.
  private let image: (rows: Int, blocks: Int)?

  /// - Parameters:
  ///   - preferred: rows of a block where that is possible.
  init(
    images: Int, rowsPerImage: Int, columns: Int, depth: Int, preferred: Int, rowsAreAlike: Bool = rowGroup == 1
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

/// How many rows of a product go together: a row's bits depend on its place in its group and on nothing else. One with OpenBLAS's kernels
/// for 512-bit vectors, twelve with those for 256 bits; nil where neither holds.
///
/// Tried out, because it is a property of the kernel that OpenBLAS chooses for the processor.
let rowGroup: Int? = [1, 12].first { group in
  useOneThreadPerMatrixProduct()
  let (rows, columns, depth) = (180, 96, 128)
  func numbers(_ count: Int) -> [Float] { (0..<count).map { Float($0 * 7919 % 1009) / 1009 - 0.5 } }
  let (a, b) = (numbers(rows * depth), numbers(depth * columns))
  func product(of rows: Int) -> [Float] {
    var c = [Float](repeating: 0, count: rows * columns)
    a.withUnsafeBufferPointer { a in
      b.withUnsafeBufferPointer { b in
        guard let a = a.baseAddress, let b = b.baseAddress else { return }
        multiply(
          Matrix(start: a, stride: depth), Matrix(start: b, stride: columns), rows: rows, columns: columns,
          depth: depth, into: &c, stride: columns)
      }
    }
    return c
  }
  let all = product(of: rows)
  let least = RowBlocks.smallProduct / (columns * depth) + 1
  return (least..<rows).filter { $0 % group == 0 }.allSatisfy { product(of: $0) == Array(all.prefix($0 * columns)) }
}

/// What OpenBLAS computes with, such as "SkylakeX".
public func matrixProductCoreName() -> String { String(cString: openblas_get_corename()) }

/// What a rank's arithmetic is: OpenBLAS's kernel, and what a product comes out as, in hexadecimal digits. Ranks that differ in it would not
/// compute one image alike.
public func arithmeticFingerprint() -> String {
  useOneThreadPerMatrixProduct()
  let (rows, columns, depth) = (96, 64, 700)
  let a = FloatBuffer((0..<rows * depth).map { Float($0 * 7919 % 1009) / 1009 - 0.5 })
  let b = FloatBuffer((0..<depth * columns).map { Float($0 * 6007 % 1013) / 1013 - 0.5 })
  let c = FloatBuffer(rows * columns)
  multiply(
    Matrix(start: a.pointer, stride: depth), Matrix(start: b.pointer, stride: columns), rows: rows, columns: columns,
    depth: depth, into: c.pointer, stride: columns)
  let bytes = UnsafeRawBufferPointer(start: c.pointer, count: c.count * MemoryLayout<Float>.stride)
  return "\(matrixProductCoreName()) \(SHA256.hexDigest(of: bytes).prefix(16))"
}

/// What to do where the ranks differ in ``arithmeticFingerprint()``.
public let unlikeProcessorsHint =
  "use machines of one kind, or set OPENBLAS_CORETYPE (and OPENBLAS_L2_SIZE) alike on all: Haswell suits any with AVX2"

/// Keeps OpenBLAS from starting threads of its own: the team's threads call it side by side.
func useOneThreadPerMatrixProduct() { openblas_set_num_threads(1) }
