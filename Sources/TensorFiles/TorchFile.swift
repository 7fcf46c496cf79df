import Diagnostics

/// The two formats of torch.save. Both hold a pickle that describes the objects and, apart from it, the storages' bytes.
enum TorchFile {
  /// The pickle that starts a file of the older format holds this number, little-endian.
  private static let magic: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]

  static func recognisesLegacy(_ file: FileBytes) -> Bool {
    // In front of it are the protocol, perhaps a frame, and the number's opcode.
    file.starts(with: [0x80]) && file.contains(magic, inFirst: 32)
  }

  /// The format since PyTorch 1.6: a ZIP archive with `NAME/data.pkl` and an entry `NAME/data/KEY` for every storage.
  static func readZip(_ file: FileBytes) throws -> [NamedTensor] {
    var archive = try ZipArchive(file)
    let pickles = archive.names.filter { $0.hasSuffix("/data.pkl") }
    guard let pickle = pickles.first, pickles.count == 1 else {
      throw file.failure(
        "a ZIP archive with \(pickles.count) entries named data.pkl, which torch.save did not write",
        hint: "give the weights file itself, not an archive of files")
    }
    let folder = pickle.dropLast("data.pkl".count)
    if archive.names.contains("\(folder)byteorder") {
      let order = try archive.read("\(folder)byteorder")
      guard try file.text(at: order.lowerBound, count: order.count) == "little" else {
        throw file.failure("the file was written on a big-endian machine", hint: "save it again on a little-endian one")
      }
    }

    var unpickler = Unpickler(file, in: try archive.read(pickle))
    let object = try unpickler.load()
    let storages = try unpickler.storages.map { storage in
      let place = try archive.read("\(folder)data/\(storage.key)")
      guard place.count == storage.byteCount else {
        throw file.failure(
          "storage \(quoted(storage.key)) has \(place.count) bytes where \(storage.byteCount) are expected",
          at: place.lowerBound)
      }
      return try file.slice(at: place.lowerBound, count: place.count)
    }
    return try StateDict(unpickler: unpickler, storages: storages).tensors(of: object)
  }

  /// The older format: five pickles (magic number, protocol, machine, object, keys of the storages), then for each key the number of
  /// elements in 8 bytes and the elements.
  static func readLegacy(_ file: FileBytes) throws -> [NamedTensor] {
    var unpickler = Unpickler(file, in: 0..<file.count)
    _ = try unpickler.load()
    guard case .integer(1001) = try unpickler.load() else {
      throw file.failure("an unknown version of torch.save's older format", at: unpickler.position)
    }
    guard case .dictionary(let machine) = try unpickler.load() else {
      throw file.failure("the description of the machine is missing", at: unpickler.position)
    }
    for case (.string("little_endian"), .bool(false)) in unpickler.dictionaries[machine] {
      throw file.failure("the file was written on a big-endian machine", hint: "save it again on a little-endian one")
    }
    let object = try unpickler.load()
    guard case .list(let list) = try unpickler.load() else {
      throw file.failure("the list of storages is missing", at: unpickler.position)
    }

    var storages: [UnsafeRawBufferPointer?] = unpickler.storages.map { _ in nil }
    var position = unpickler.position
    for key in unpickler.sequences[list] {
      guard case .string(let key) = key, let index = unpickler.storagePositions[key], storages[index] == nil else {
        throw file.failure("the list of storages does not fit the tensors", at: unpickler.position)
      }
      let storage = unpickler.storages[index]
      guard try file.load(Int64.self, at: position) == Int64(storage.count) else {
        throw file.failure("storage \(quoted(key)) does not have the expected \(storage.count) elements", at: position)
      }
      storages[index] = try file.slice(at: position + 8, count: storage.byteCount)
      position += 8 + storage.byteCount
    }
    let found = storages.compactMap { $0 }
    guard found.count == storages.count else {
      throw file.failure("\(storages.count - found.count) storages have no data", at: unpickler.position)
    }
    return try StateDict(unpickler: unpickler, storages: found).tensors(of: object)
  }
}
