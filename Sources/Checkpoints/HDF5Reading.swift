import CHDF5
import Diagnostics
import FileSystem
import Glibc
import TensorFiles

extension HDF5Group {
  /// Whether something of that name is in the group.
  func has(_ name: String) throws -> Bool {
    try check(H5Lexists(id, name, CHDF5_default()), name, "cannot be looked up") > 0
  }

  /// The names in the group, in the order of their bytes.
  func names() throws -> [String] {
    var names: [[UInt8]] = []
    let status = withUnsafeMutablePointer(to: &names) { names in
      CHDF5_takeNames(
        id,
        { name, names in
          guard let name, let names else { return }
          names.assumingMemoryBound(to: [[UInt8]].self).pointee.append(
            Array(UnsafeRawBufferPointer(start: name, count: strlen(name))))
        }, names)
    }
    try check(status, nil, "cannot be listed")
    return try names.sorted { $0.lexicographicallyPrecedes($1) }.map { bytes in
      guard let name = String(validating: bytes, as: UTF8.self) else {
        throw failure(nil, "has a name that is not UTF-8")
      }
      return name
    }
  }

  func readGroup<Result>(_ name: String, body: (HDF5Group) throws -> Result) throws -> Result {
    guard try has(name) else { throw failure(name, "is missing") }
    let group = try check(H5Gopen2(id, name, CHDF5_default()), name, "is not a readable group")
    defer { H5Gclose(group) }
    return try body(with(group, name))
  }

  func integer(attribute name: String) throws -> Int {
    Int(try scalar(attribute: name, as: Int64.self))
  }

  func double(attribute name: String) throws -> Double {
    try scalar(attribute: name, as: Double.self)
  }

  private func scalar<Number: HDF5Number>(attribute name: String, as: Number.Type) throws -> Number {
    let values = try numbers(attribute: name, as: Number.self)
    guard values.count == 1 else { throw failure(name, "has \(values.count) values where one is expected") }
    return values[0]
  }

  func numbers<Number: HDF5Number>(attribute name: String, as: Number.Type) throws -> [Number] {
    try openAttribute(name) { attribute, type, count in
      guard H5Tequal(type, Number.stored) > 0 else { throw failure(name, "is not of type \(Number.self)") }
      return try array(count) { try check(H5Aread(attribute, Number.inMemory, $0), name, "cannot be read") }
    }
  }

  func text(attribute name: String) throws -> String {
    try openAttribute(name) { attribute, type, count in
      let texts = try texts(name, type: type, count: count) {
        try check(H5Aread(attribute, type, $0), name, "cannot be read")
      }
      guard let text = texts.first, count == 1 else { throw failure(name, "is not one text") }
      return text
    }
  }

  func texts(_ name: String) throws -> [String] {
    try openDataset(name) { dataset, type, shape, count in
      guard shape.count == 1 else { throw failure(name, "has shape \(shape) where one dimension is expected") }
      return try texts(name, type: type, count: count) {
        try check(H5Dread(dataset, type, CHDF5_all(), CHDF5_all(), CHDF5_default(), $0), name, "cannot be read")
      }
    }
  }

  /// The numbers of a dataset, which is of just this type.
  func numbers<Number: HDF5Number>(_ name: String, as: Number.Type) throws -> (shape: [Int], values: [Number]) {
    try openDataset(name) { dataset, type, shape, count in
      guard H5Tequal(type, Number.stored) > 0 else { throw failure(name, "is not of type \(Number.self)") }
      return (shape, try numbers(name, dataset, count))
    }
  }

  /// The shape of a dataset, whose values are not read.
  func shape(_ name: String) throws -> [Int] { try openDataset(name) { _, _, shape, _ in shape } }

  /// The numbers of a dataset with one dimension.
  func list<Number: HDF5Number>(_ name: String, as: Number.Type) throws -> [Number] {
    let (shape, values) = try numbers(name, as: Number.self)
    guard shape.count == 1 else { throw failure(name, "has shape \(shape) where one dimension is expected") }
    return values
  }

  /// The numbers of a dataset of any floating-point type, nil of a dataset of another and of what is no dataset.
  func floats(_ name: String) throws -> (shape: [Int], values: [Float])? {
    let object = try check(H5Oopen(id, name, CHDF5_default()), name, "cannot be opened")
    defer { H5Oclose(object) }
    guard H5Iget_type(object) == H5I_DATASET else { return nil }
    return try openDataset(name) { dataset, type, shape, count in
      guard H5Tget_class(type) == H5T_FLOAT else { return nil }
      return (shape, try numbers(name, dataset, count))
    }
  }

  private func numbers<Number: HDF5Number>(_ name: String, _ dataset: hid_t, _ count: Int) throws -> [Number] {
    try array(count) {
      try check(
        H5Dread(dataset, Number.inMemory, CHDF5_all(), CHDF5_all(), CHDF5_default(), $0), name, "cannot be read")
    }
  }

  private func array<Element: BitwiseCopyable>(
    _ count: Int, fill: (UnsafeMutableRawPointer) throws -> Void
  ) throws -> [Element] {
    try [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
      if count > 0, let base = buffer.baseAddress { try fill(UnsafeMutableRawPointer(base)) }
      initialized = count
    }
  }

  private func texts(
    _ name: String, type: hid_t, count: Int, fill: (UnsafeMutableRawPointer) throws -> Void
  ) throws -> [String] {
    guard H5Tget_class(type) == H5T_STRING, H5Tis_variable_str(type) == 0 else {
      throw failure(name, "is not text of fixed length")
    }
    let length = H5Tget_size(type)
    let bytes: [UInt8] = try array(length * count, fill: fill)
    return try (0..<count).map { position in
      let padded = bytes[position * length..<(position + 1) * length]
      guard let text = String(validating: padded.prefix { $0 != 0 }, as: UTF8.self) else {
        throw failure(name, "is not UTF-8")
      }
      return text
    }
  }

  private func openAttribute<Result>(_ name: String, body: (hid_t, hid_t, Int) throws -> Result) throws -> Result {
    guard try check(H5Aexists(id, name), name, "cannot be looked up") > 0 else {
      throw failure(nil, "has no attribute \(name)")
    }
    let attribute = try check(H5Aopen(id, name, CHDF5_default()), name, "cannot be read")
    defer { H5Aclose(attribute) }
    let type = try check(H5Aget_type(attribute), name, "cannot be read")
    defer { H5Tclose(type) }
    let space = try check(H5Aget_space(attribute), name, "cannot be read")
    defer { H5Sclose(space) }
    return try body(attribute, type, try extent(name, space: space, type: type).count)
  }

  /// Calls `body` with a dataset, its type, its shape and its number of elements.
  func openDataset<Result>(
    _ name: String, body: (hid_t, hid_t, [Int], Int) throws -> Result
  ) throws -> Result {
    guard try has(name) else { throw failure(name, "is missing") }
    let dataset = try check(H5Dopen2(id, name, CHDF5_default()), name, "is not a readable dataset")
    defer { H5Dclose(dataset) }
    let type = try check(H5Dget_type(dataset), name, "cannot be read")
    defer { H5Tclose(type) }
    let space = try check(H5Dget_space(dataset), name, "cannot be read")
    defer { H5Sclose(space) }
    let (shape, count) = try extent(name, space: space, type: type)
    try requireStorage(of: dataset, name, bytes: count * H5Tget_size(type))
    return try body(dataset, type, shape, count)
  }

  /// HDF5 reads beyond its own memory where a damaged file has less storage for a dataset than its shape takes, and follows the names of other files.
  private func requireStorage(of dataset: hid_t, _ name: String, bytes: Int) throws {
    let creation = try check(H5Dget_create_plist(dataset), name, "cannot be read")
    defer { H5Pclose(creation) }
    let layout = H5Pget_layout(creation)
    guard [H5D_CHUNKED, H5D_CONTIGUOUS, H5D_COMPACT].contains(layout), H5Pget_external_count(creation) <= 0 else {
      throw failure(name, "lies in other files, which are not read")
    }
    let stored = H5Dget_storage_size(dataset)
    // What nothing was written to has no storage yet.
    guard layout == H5D_CHUNKED || stored >= bytes || layout == H5D_CONTIGUOUS && stored == 0 else {
      throw failure(name, "has less storage than its shape takes")
    }
  }

  private func extent(_ name: String, space: hid_t, type: hid_t) throws -> (shape: [Int], count: Int) {
    var sizes = [hsize_t](repeating: 0, count: 32)  // HDF5's limit
    let rank = try check(H5Sget_simple_extent_dims(space, &sizes, nil), name, "has no readable shape")
    let shape = sizes.prefix(Int(rank)).map { Int(clamping: $0) }
    let count = try check(H5Sget_simple_extent_npoints(space), name, "has no readable shape")
    let (bytes, overflow) = Int(count).multipliedReportingOverflow(by: max(4, H5Tget_size(type)))
    guard !overflow, bytes <= limit else { throw failure(name, "has shape \(shape), more than the file can hold") }
    return (shape, Int(count))
  }
}
