import CHDF5
import Diagnostics
import FileSystem
import Glibc
import TensorFiles

/// The sizes of the chunks of a dataset: all of it up to 1 MiB, else slabs of nearly equal size along its first
/// dimensions.
func chunkShape(_ shape: [Int], elementSize: Int) -> [Int] {
  let most = 1 << 20
  var chunk = shape
  for axis in shape.indices {
    let bytes = chunk.reduce(elementSize, *)
    if bytes <= most { break }
    let longest = max(1, most / (bytes / shape[axis]))
    let parts = (shape[axis] + longest - 1) / longest
    chunk[axis] = (shape[axis] + parts - 1) / parts
  }
  return chunk
}

extension HDF5Group {
  @discardableResult
  func makeGroup<Result>(_ name: String, fill: (HDF5Group) throws -> Result) throws -> Result {
    let creation = try check(H5Pcreate(CHDF5_groupCreation()), name, "cannot be made")
    defer { H5Pclose(creation) }
    try check(H5Pset_obj_track_times(creation, false), name, "cannot be made")
    let group = try check(
      H5Gcreate2(id, name, CHDF5_default(), creation, CHDF5_default()), name, "cannot be made")
    defer { H5Gclose(group) }
    return try fill(with(group, name))
  }

  func write(attribute name: String, _ value: Int) throws {
    try write(attribute: name, [Int64(value)], shape: [])
  }

  func write(attribute name: String, _ value: Double) throws {
    try write(attribute: name, [value], shape: [])
  }

  func write(attribute name: String, _ values: [Double]) throws {
    try write(attribute: name, values, shape: [values.count])
  }

  func write<Number: HDF5Number>(attribute name: String, _ values: [Number], shape: [Int]) throws {
    try values.withUnsafeBytes { bytes in
      try makeAttribute(name, type: Number.stored, shape: shape, bytes, as: Number.inMemory)
    }
  }

  func write(attribute name: String, _ text: String) throws {
    try withStored([text], name) { type, bytes in
      try makeAttribute(name, type: type, shape: [], bytes, as: type)
    }
  }

  /// A dataset of numbers.
  ///
  /// Its values are covered by checksums: by Fletcher-32 in chunks, or, where it is a scalar or empty and cannot have
  /// chunks, by the checksum of the object header that holds them.
  func write<Number: HDF5Number>(_ name: String, _ values: [Number], shape: [Int]) throws {
    guard elementCount(shape) == values.count else {
      throw failure(name, "has shape \(shape) but \(values.count) values")
    }
    try values.withUnsafeBytes { bytes in
      try makeDataset(
        name, type: Number.stored, elementSize: MemoryLayout<Number>.size, shape: shape, bytes, as: Number.inMemory)
    }
  }

  /// A dataset of strings of fixed length, nul-padded: those of variable length would have no checksum.
  func write(_ name: String, _ texts: [String]) throws {
    try withStored(texts, name) { type, bytes in
      try makeDataset(
        name, type: type, elementSize: H5Tget_size(type), shape: [texts.count], bytes, as: type)
    }
  }

  /// Calls `body` with the texts one behind the other, as long as the longest each, and with their type.
  private func withStored(
    _ texts: [String], _ name: String, body: (hid_t, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let length = max(1, texts.map(\.utf8.count).max() ?? 0)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(length * texts.count)
    for text in texts {
      guard !text.utf8.contains(0) else { throw failure(name, "has a nul character in its text") }
      bytes += text.utf8
      bytes += repeatElement(0, count: length - text.utf8.count)
    }
    let type = try check(stringType(length), name, "cannot be written")
    defer { H5Tclose(type) }
    try bytes.withUnsafeBytes { try body(type, $0) }
  }

  private func makeAttribute(
    _ name: String, type: hid_t, shape: [Int], _ bytes: UnsafeRawBufferPointer, as memory: hid_t
  ) throws {
    let space = try makeSpace(shape, name)
    defer { H5Sclose(space) }
    let attribute = try check(
      H5Acreate2(id, name, type, space, CHDF5_default(), CHDF5_default()), name, "cannot be written")
    defer { H5Aclose(attribute) }
    if !bytes.isEmpty { try check(H5Awrite(attribute, memory, bytes.baseAddress), name, "cannot be written") }
  }

  private func makeDataset(
    _ name: String, type: hid_t, elementSize: Int, shape: [Int], _ bytes: UnsafeRawBufferPointer, as memory: hid_t
  ) throws {
    let space = try makeSpace(shape, name)
    defer { H5Sclose(space) }
    let compact = shape.isEmpty || bytes.isEmpty
    let chunk = compact ? nil : chunkShape(shape, elementSize: elementSize)
    let dataset = try makeDataset(name, type: type, space: space, chunk: chunk, deflate: false)
    defer { H5Dclose(dataset) }
    guard !bytes.isEmpty else { return }
    try check(
      H5Dwrite(dataset, memory, CHDF5_all(), CHDF5_all(), CHDF5_default(), bytes.baseAddress), name,
      "cannot be written")
  }

  /// An open dataset, in chunks with checksums or, where `chunk` is nil, within its object header.
  func makeDataset(_ name: String, type: hid_t, space: hid_t, chunk: [Int]?, deflate: Bool) throws -> hid_t {
    let problem = "cannot be made"
    let creation = try check(H5Pcreate(CHDF5_datasetCreation()), name, problem)
    defer { H5Pclose(creation) }
    try check(H5Pset_obj_track_times(creation, false), name, problem)
    if let chunk {
      try check(H5Pset_chunk(creation, Int32(chunk.count), chunk.map(hsize_t.init)), name, problem)
      if deflate { try check(H5Pset_deflate(creation, 1), name, problem) }
      // Last, so that in reading it comes before the others.
      try check(H5Pset_fletcher32(creation), name, problem)
    } else {
      try check(H5Pset_layout(creation, H5D_COMPACT), name, problem)
    }
    return try check(
      H5Dcreate2(id, name, type, space, CHDF5_default(), creation, CHDF5_default()), name, problem)
  }

  func makeSpace(_ shape: [Int], _ name: String, most: [hsize_t]? = nil) throws -> hid_t {
    let space =
      shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), shape.map(hsize_t.init), most)
    return try check(space, name, "cannot have shape \(shape)")
  }
}

/// UTF-8 of `length` bytes, nul-padded.
func stringType(_ length: Int) -> hid_t {
  let type = H5Tcopy(CHDF5_string())
  guard type >= 0 else { return type }
  if H5Tset_size(type, length) >= 0, H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0, H5Tset_cset(type, H5T_CSET_UTF8) >= 0 {
    return type
  }
  H5Tclose(type)
  return -1
}
