import CHDF5
import Diagnostics
import FileSystem
import Glibc
import Synchronization
import TensorFiles

/// HDF5 as Debian builds it is not made for threads: one call at a time.
private let library = Mutex(())

/// Runs `body` with HDF5 to itself. Not to be nested.
func withHDF5<Result: Sendable>(_ body: () throws -> Result) throws -> Result {
  try library.withLock { _ in
    CHDF5_silenceErrors()
    return try body()
  }
}

/// What HDF5 says of the call that has just failed.
private func hdf5Reason() -> String {
  let reason = withUnsafeBytes(of: CHDF5_lastReason().text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  // Of a failed system call it gives the time and an address too.
  if let words = reason.firstMatch(of: /error message = '([^']*)'/) { return String(words.1) }
  return reason.isEmpty ? "HDF5 gives no reason" : reason
}

/// A number type of a dataset: little-endian in every file, this machine's in memory.
protocol HDF5Number: BitwiseCopyable, Sendable {
  static var stored: hid_t { get }
  static var inMemory: hid_t { get }
}

extension Float: HDF5Number {
  static var stored: hid_t { CHDF5_F32LE() }
  static var inMemory: hid_t { CHDF5_nativeFloat() }
}

extension Double: HDF5Number {
  static var stored: hid_t { CHDF5_F64LE() }
  static var inMemory: hid_t { CHDF5_nativeDouble() }
}

extension Int32: HDF5Number {
  static var stored: hid_t { CHDF5_I32LE() }
  static var inMemory: hid_t { CHDF5_nativeInt32() }
}

extension Int64: HDF5Number {
  static var stored: hid_t { CHDF5_I64LE() }
  static var inMemory: hid_t { CHDF5_nativeInt64() }
}

/// An open group of an HDF5 file, to write into or to read from.
struct HDF5Group {
  let id: hid_t
  /// The file, as error messages name it.
  let source: String
  /// The group's place in the file: empty for the root.
  let path: String
  /// The code of failures that are HDF5's: the data's fault in reading, the program's in writing.
  let code: ExitCode
  /// How many bytes the datasets of the file may expand to: a damaged size is not to exhaust the memory.
  let limit: Int
  fileprivate let target: UnsafeMutablePointer<CHDF5_Target>

  func failure(_ name: String?, _ problem: String) -> Failure {
    let place = name.map { "\(path)/\($0)" } ?? (path.isEmpty ? "/" : path)
    return Failure(code, "\(source): \(place) \(problem)")
  }

  /// The result of an HDF5 call; its negative ones are failures, and so is every error of the system.
  @discardableResult
  func check<Status: SignedInteger>(_ status: Status, _ name: String?, _ problem: String) throws -> Status {
    guard target.pointee.error == 0 else {
      let what = code == .badData ? "read" : "written"
      throw Failure(.inputOutput, "\(source): cannot be \(what): \(String(cString: strerror(target.pointee.error)))")
    }
    guard status >= 0 else { throw failure(name, "\(problem): \(hdf5Reason())") }
    return status
  }

  func with(_ child: hid_t, _ name: String) -> HDF5Group {
    HDF5Group(id: child, source: source, path: "\(path)/\(name)", code: code, limit: limit, target: target)
  }
}

// MARK: - Files

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

// MARK: - Writing

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
private func stringType(_ length: Int) -> hid_t {
  let type = H5Tcopy(CHDF5_string())
  guard type >= 0 else { return type }
  if H5Tset_size(type, length) >= 0, H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0, H5Tset_cset(type, H5T_CSET_UTF8) >= 0 {
    return type
  }
  H5Tclose(type)
  return -1
}

// MARK: - Reading

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
