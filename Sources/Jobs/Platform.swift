import CCrypto
import CHDF5
import CImageCodecs
import COpenBLAS
import COpenMPI
import CZlib
import Diagnostics
import Numerics

/// What `--version` prints: the tool, its version, the processor's instructions that it uses, and the libraries that it is linked with.
public func versionReport(tool: String) -> String {
  """
  \(versionText(tool: tool))
  processor: \(Instructions.best)
  MPI: \(mpiVersion)
  HDF5: \(hdf5Version)
  OpenBLAS: \(openBLASVersion)
  libpng: \(String(cString: image_codec_png_version()))
  libjpeg-turbo: \(String(cString: image_codec_jpeg_version())) (when built)
  libtiff: \(tiffVersion)
  libwebp: \(webPVersion)
  zlib: \(String(cString: zlibVersion()))
  OpenSSL: \(String(cString: OpenSSL_version(OPENSSL_VERSION_STRING)))
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

/// libtiff says "LIBTIFF, Version 4.5.0", and whose it is on further lines.
private var tiffVersion: String {
  let line = String(cString: image_codec_tiff_version()).prefix { $0 != "\n" }
  return String(line.split(separator: " ").last ?? line)
}

private var webPVersion: String {
  let version = image_codec_webp_version()
  return "\(version >> 16).\(version >> 8 & 255).\(version & 255)"
}
