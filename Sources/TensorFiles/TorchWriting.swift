import Diagnostics
import FileSystem

extension TensorFile {
  /// What a file of torch.save can hold here: a tensor of float32, or a whole number as a tensor of int64 without dimensions.
  public enum TorchValue {
    case tensor(LazyTensor)
    case number(name: String, value: Int)
  }

  /// Writes the file that `torch.save({"key": {"name": tensor, …}, …})` would. No more than one tensor need be in memory.
  /// - Throws: `Failure` of `.inputOutput`, or what a tensor throws; of `.badData` where it would take 4 GiB or more.
  public static func write(_ dictionaries: [(key: String, values: [TorchValue])], toTorch path: String) throws {
    var pickle = Pickle()
    var storages: [TorchValue] = []
    pickle.begin()
    for (key, values) in dictionaries {
      pickle.text(key)
      pickle.begin()
      for value in values {
        pickle.tensor(value, storage: storages.count)
        storages.append(value)
      }
      pickle.end()
    }
    pickle.end()
    try writeFile(path) { file in
      var archive = ZipWriter()
      try archive.add("archive/data.pkl", pickle.finished(), to: file)
      try archive.add("archive/byteorder", Array("little".utf8), to: file)
      for (number, storage) in storages.enumerated() {
        switch storage {
        case .tensor(let tensor):
          try archive.add("archive/data/\(number)", try tensor.values().withUnsafeBytes { Array($0) }, to: file)
        case .number(_, let value):
          try archive.add("archive/data/\(number)", littleEndian(UInt64(bitPattern: Int64(value))), to: file)
        }
      }
      try archive.add("archive/version", Array("3\n".utf8), to: file)
      try archive.finish(file)
    }
  }
}

/// A pickle of protocol 2 that builds a dict of dicts of tensors, as torch.save writes them.
private struct Pickle {
  private var bytes: [UInt8] = [0x80, 2]

  /// A dict whose items follow.
  mutating func begin() { bytes += "}(".utf8 }
  mutating func end() { bytes += "u".utf8 }

  mutating func text(_ text: String) {
    bytes += "X".utf8
    bytes += littleEndian(UInt32(text.utf8.count)) + Array(text.utf8)
  }

  /// `name: torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`
  mutating func tensor(_ value: TensorFile.TorchValue, storage: Int) {
    let (name, shape, type) =
      switch value {
      case .tensor(let tensor): (tensor.name, tensor.shape, "FloatStorage")
      case .number(let name, _): (name, [], "LongStorage")
      }
    let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
    text(name)
    bytes += "ctorch._utils\n_rebuild_tensor_v2\n((".utf8
    text("storage")
    bytes += "ctorch\n\(type)\n".utf8
    text("\(storage)")
    text("cpu")
    integer(shape.reduce(1, *))
    bytes += "tQ".utf8
    integer(0)
    tuple(shape)
    tuple(strides)
    bytes += [0x89]
    bytes += "ccollections\nOrderedDict\n)RtR".utf8
  }

  private mutating func tuple(_ integers: [Int]) {
    bytes += "(".utf8
    for value in integers { integer(value) }
    bytes += "t".utf8
  }

  private mutating func integer(_ value: Int) {
    bytes += "J".utf8
    bytes += littleEndian(Int32(value))
  }

  consuming func finished() -> [UInt8] { bytes + Array(".".utf8) }
}
