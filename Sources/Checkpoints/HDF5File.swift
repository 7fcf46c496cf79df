import CHDF5
import Diagnostics
import FileSystem
import Glibc
import TensorFiles

/// HDF5's number for the driver of open files.
private let driver = CHDF5_registerDriver()

/// HDF5 files over open files of the system.
enum HDF5File {
  static let signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]

  /// Writes an HDF5 file into an empty one. Equal content gives equal bytes.
  /// - Parameter fill: writes the content into the root group.
  /// - Throws: ``Failure`` with code `inputOutput` where the system refuses, or what `fill` throws; the file is then of
  ///   no use.
  static func write(_ file: borrowing OpenFile, fill: (HDF5Group) throws -> Void) throws {
    let (descriptor, source) = (file.descriptor, file.path)
    try withHDF5 {
      let root = try create(descriptor, source)
      do {
        try fill(root)
      } catch {
        try? close(root)
        throw error
      }
      try close(root)
    }
  }

  /// Opens a file for as long as `body` runs; only what it asks for is read.
  /// - Throws: ``Failure`` with code `badData` where it is no HDF5 file or damaged, `inputOutput` where the system
  ///   refuses.
  static func read<Result: Sendable>(
    _ file: borrowing OpenFile, body: (HDF5Group) throws -> Result
  ) throws -> Result {
    let (descriptor, source, size) = (file.descriptor, file.path, try file.size())
    guard size > 0 else { throw Failure(.badData, "\(source): the file is empty") }
    var start = [UInt8](repeating: 0, count: signature.count + 1)
    _ = try start.withUnsafeMutableBytes { try file.read(into: $0) }
    guard start.starts(with: signature) else { throw Failure(.badData, "\(source): not an HDF5 file") }
    // The superblock's version. What is damaged in older formats has no checksum, and HDF5 crashes at some of it.
    guard start[signature.count] >= 2 else {
      throw Failure(
        .badData, "\(source): in HDF5's oldest format, whose metadata have no checksums",
        hint: "write it in the latest format (in h5py: libver=\"latest\"), or as .safetensors")
    }
    return try withHDF5 {
      let root = try open(descriptor, source, size: size)
      defer { try? close(root) }
      return try body(root)
    }
  }

  private static func open(_ descriptor: Int32, _ source: String, size: Int) throws -> HDF5Group {
    // Deflate makes nothing smaller than by a factor of 1032.
    let (limit, overflow) = size.multipliedReportingOverflow(by: 1100)
    return try root(descriptor, source, code: .badData, limit: overflow ? .max : limit) { outside, access in
      let file = H5Fopen(source, CHDF5_readOnly(), access)
      if file < 0, outside.target.pointee.error == 0 {
        throw Failure(
          .badData, "\(source): damaged: \(hdf5Reason())",
          hint: "the file was cut short or changed: take another copy")
      }
      return try outside.check(file, nil, "cannot be opened")
    }
  }

  /// Makes an HDF5 file of an empty one: its root group, to be closed with ``close(_:)`` before the file is.
  static func create(_ descriptor: Int32, _ source: String) throws -> HDF5Group {
    try root(descriptor, source, code: .internalError, limit: .max) { outside, access in
      let problem = "cannot be made"
      // The format of HDF5 1.10 whatever version writes: its metadata have checksums, and equal content gives equal
      // bytes.
      try outside.check(H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110), nil, problem)
      let creation = try outside.check(H5Pcreate(CHDF5_fileCreation()), nil, problem)
      defer { H5Pclose(creation) }
      try outside.check(H5Pset_obj_track_times(creation, false), nil, problem)
      return try outside.check(H5Fcreate(source, CHDF5_truncate(), creation, access), nil, problem)
    }
  }

  private static func root(
    _ descriptor: Int32, _ source: String, code: ExitCode, limit: Int, open: (HDF5Group, hid_t) throws -> hid_t
  ) throws -> HDF5Group {
    let target = UnsafeMutablePointer<CHDF5_Target>.allocate(capacity: 1)
    target.initialize(to: CHDF5_Target(descriptor: descriptor, error: 0))
    func group(_ id: hid_t) -> HDF5Group {
      HDF5Group(id: id, source: source, path: "", code: code, limit: limit, target: target)
    }
    do {
      let outside = group(-1)
      let access = try outside.check(H5Pcreate(CHDF5_fileAccess()), nil, "cannot be opened")
      defer { H5Pclose(access) }
      try outside.check(CHDF5_setTarget(access, driver, target), nil, "cannot be opened")
      return group(try open(outside, access))
    } catch {
      target.deallocate()
      throw error
    }
  }

  /// Closes a file. What was written is whole only where this does not throw.
  /// - Throws: ``Failure`` with code `inputOutput` where the system refused anything.
  static func close(_ root: HDF5Group) throws {
    let status = H5Fclose(root.id)
    defer {
      // What HDF5 could not close it may write to again, at exit.
      if status >= 0 { root.target.deallocate() } else { root.target.pointee.error = EBADF }
    }
    try root.check(status, nil, "cannot be finished")
  }
}
