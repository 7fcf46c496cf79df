import COpenBLAS

/// A row-major matrix in memory, or its transpose.
struct Matrix {
  let start: UnsafePointer<Float>
  /// The distance between two rows, in floats.
  let stride: Int
  var isTransposed = false

  var transposed: Matrix { Matrix(start: start, stride: stride, isTransposed: !isTransposed) }
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

/// Keeps OpenBLAS from starting threads of its own: the team's threads call it side by side.
func useOneThreadPerMatrixProduct() { openblas_set_num_threads(1) }

/// The kernels that OpenBLAS has chosen.
func matrixProductCoreName() -> String { String(cString: openblas_get_corename()) }
