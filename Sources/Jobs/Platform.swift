import CHDF5
import COpenBLAS
import COpenMPI
import Numerics

/// What a tool stands on, as `--version` says it: the processor's instructions that it uses, and the libraries that it is linked with.
public var platformText: String {
  """
  processor: \(Instructions.best)
  MPI: \(mpiVersion)
  HDF5: \(hdf5Version)
  OpenBLAS: \(openBLASVersion)
  """
}

/// Such as "Open MPI v4.1.4".
private var mpiVersion: String {
  // More than MPI_MAX_LIBRARY_VERSION_STRING of any MPI.
  var text = [CChar](repeating: 0, count: 8192)
  var length: Int32 = 0
  // One of the few calls that need no MPI_Init.
  guard MPI_Get_library_version(&text, &length) == MPI_SUCCESS else { return "unknown" }
  let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
  return String(String(decoding: bytes, as: UTF8.self).prefix { $0 != "," })
}

private var hdf5Version: String {
  var (major, minor, release): (UInt32, UInt32, UInt32) = (0, 0, 0)
  H5get_libversion(&major, &minor, &release)
  return "\(major).\(minor).\(release)"
}

/// The version, its options and the kernels that it has chosen.
private var openBLASVersion: String {
  let text = String(cString: openblas_get_config())
  return text.hasPrefix("OpenBLAS ") ? String(text.dropFirst(9)) : text
}
