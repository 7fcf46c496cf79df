import COpenBLAS
import CVectorKernels
import Glibc

/// Starts the program again where OpenBLAS does not use the processor's widest vectors: versions older than a processor take it for an older
/// one, and are then half as fast. OpenBLAS reads its choice from the environment when it is loaded, so only a new start can change it.
///
/// To be called first in `main`, before MPI. A choice that the environment makes already is respected.
public func fitMatrixProductsToProcessor() {
  let variable = "OPENBLAS_CORETYPE"
  let wide: Set<String> = ["SkylakeX", "Cooperlake", "SapphireRapids"]
  guard rd_has_512_bit_vectors() != 0, getenv(variable) == nil, !wide.contains(matrixProductCoreName()) else { return }
  setenv(variable, "SkylakeX", 1)
  // On success this does not return; otherwise the program goes on, slower.
  execv("/proc/self/exe", CommandLine.unsafeArgv)
}
