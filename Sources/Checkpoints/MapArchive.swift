import CHDF5
import Diagnostics
import FileSystem

/// An HDF5 file of anomaly maps, written image by image: memory holds one map at a time.
///
/// `/maps` is float32 `[n, size, size]`, one image a chunk, with the attribute `scales`; `/paths` and `/scores` say
/// which images they are of and how these scored. The file has its name once ``finish()`` returns.
public final class MapArchive {
  private let path: String
  private let size: Int
  private var partial: String { path + ".partial" }
  private var file: OpenFile
  /// The root of the HDF5 file, as long as it is open.
  private var root: HDF5Group?
  private var maps: hid_t = -1
  private var paths: [String] = []
  private var scores: [Double] = []

  /// Starts the file as `<path>.partial`.
  /// - Parameters:
  ///   - path: the file's name in the end.
  ///   - size: the height and width of every map.
  ///   - scales: the scales that the maps are made of, kept as an attribute.
  ///   - producer: the program that writes, and its version.
  /// - Throws: ``Failure`` with code `inputOutput`.
  public init(path: String, size: Int, scales: [Int], producer: String) throws {
    precondition(size > 0)
    self.path = path
    self.size = size
    file = try OpenFile(creating: path + ".partial", called: path)
    let descriptor = file.descriptor
    try withHDF5 {
      do {
        let root = try HDF5File.create(descriptor, path)
        self.root = root
        try root.write(attribute: "format", "reverse-distillation anomaly maps")
        try root.write(attribute: "format_version", 1)
        try root.write(attribute: "producer", producer)
        let space = try root.makeSpace(
          [0, size, size], "maps", most: [CHDF5_unlimited(), hsize_t(size), hsize_t(size)])
        defer { H5Sclose(space) }
        maps = try root.makeDataset(
          "maps", type: Float.stored, space: space, chunk: [1, size, size],
          deflate: H5Zfilter_avail(H5Z_filter_t(H5Z_FILTER_DEFLATE)) > 0)
        try root.with(maps, "maps").write(attribute: "scales", scales.map(Int64.init), shape: [scales.count])
      } catch {
        abandon()
        throw error
      }
    }
  }

  deinit { if maps >= 0 { try? withHDF5 { abandon() } } }

  /// Adds the map of one image, its values row by row.
  /// - Throws: ``Failure`` with code `inputOutput`, after which the file is given up.
  public func append(path image: String, score: Double, map: [Float]) throws {
    guard map.count == size * size else {
      throw Failure(.internalError, "\(path): a map of \(map.count) values where \(size * size) are expected")
    }
    try writing { root in
      let position = scores.count
      try root.check(H5Dset_extent(maps, shape(position + 1)), "maps", "cannot grow")
      let all = try root.check(H5Dget_space(maps), "maps", "cannot be written")
      defer { H5Sclose(all) }
      let start: [hsize_t] = [hsize_t(position), 0, 0]
      try root.check(
        H5Sselect_hyperslab(all, H5S_SELECT_SET, start, nil, shape(1), nil), "maps", "cannot be written")
      let one = try root.makeSpace([1, size, size], "maps")
      defer { H5Sclose(one) }
      try root.check(H5Dwrite(maps, Float.inMemory, one, all, CHDF5_default(), map), "maps", "cannot be written")
      paths.append(image)
      scores.append(score)
    }
  }

  /// Completes the file, makes it durable and gives it its name.
  /// - Throws: ``Failure`` with code `inputOutput`, after which no file is left.
  public func finish() throws {
    try writing { root in
      try root.write("paths", paths)
      try root.write("scores", scores, shape: [scores.count])
      H5Dclose(maps)
      maps = -1
      self.root = nil
      try HDF5File.close(root)
      try file.close()
    }
    do {
      try syncFile(partial)
      try renameFile(partial, to: path)
    } catch {
      try? removeFile(partial)
      throw error
    }
    try syncFolder(folder(of: path))
  }

  private func shape(_ count: Int) -> [hsize_t] { [hsize_t(count), hsize_t(size), hsize_t(size)] }

  private func writing(_ body: (HDF5Group) throws -> Void) throws {
    try withHDF5 {
      guard let root else { throw Failure(.internalError, "\(path): written to after its end") }
      do {
        try body(root)
      } catch {
        abandon()
        throw error
      }
    }
  }

  /// Closes and removes the unfinished file.
  private func abandon() {
    if maps >= 0 { H5Dclose(maps) }
    maps = -1
    if let root { try? HDF5File.close(root) }
    root = nil
    try? removeFile(partial)
  }
}
