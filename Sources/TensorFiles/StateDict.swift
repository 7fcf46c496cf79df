import Diagnostics

/// The tensors that a pickled object holds: a state dict, one inside `{"state_dict": …}`, or a dict of state dicts.
struct StateDict {
  private let unpickler: Unpickler
  /// The bytes of the unpickler's storages.
  private let storages: [UnsafeRawBufferPointer]
  /// Values that may still be made. A view can repeat its storage's elements any number of times, and a file name a tensor often: together
  /// they get a value for every byte of the file, and 4 MiB besides.
  private var remainingValues: Int
  private var remainingEntries = 1 << 18
  private static let longestName = 512

  init(unpickler: Unpickler, storages: [UnsafeRawBufferPointer]) {
    self.unpickler = unpickler
    self.storages = storages
    remainingValues = unpickler.file.count + (1 << 20)
  }

  consuming func tensors(of object: PickleValue) throws -> [NamedTensor] {
    guard case .dictionary(let top) = object else {
      throw unpickler.file.failure(
        "the file holds \(object.kind), not a state dict", hint: "save it with torch.save(model.state_dict(), …)")
    }
    // What a training loop saves beside its state dict (epoch, optimizer, …) is not part of the network.
    for case (.string("state_dict"), .dictionary(let inner)) in unpickler.dictionaries[top] {
      return try tensors(in: inner, named: "", nestedAllowed: false)
    }
    return try tensors(in: top, named: "", nestedAllowed: true)
  }

  private mutating func tensors(
    in dictionary: Int, named prefix: String, nestedAllowed: Bool
  ) throws -> [NamedTensor] {
    let file = unpickler.file
    var tensors: [NamedTensor] = []
    var nested: [NamedTensor] = []
    for (key, value) in unpickler.dictionaries[dictionary] {
      remainingEntries -= 1
      guard remainingEntries >= 0 else { throw file.failure("the state dict has too many entries") }
      guard case .string(let key) = key else {
        throw file.failure("the state dict has an entry whose key is \(key.kind), not a tensor's name")
      }
      guard key.utf8.count <= Self.longestName else {
        throw file.failure("a name in the state dict is longer than \(Self.longestName) bytes: \(quoted(key))")
      }
      switch value {
      case .tensor(let position):
        tensors.append(try tensor(position, name: key))
      case .none, .bool, .integer, .otherNumber, .string: break
      case .dictionary(let inner) where nestedAllowed:
        nested += try self.tensors(in: inner, named: "\(key).", nestedAllowed: false)
      default:
        throw file.failure(
          "entry \(quoted(prefix + key)) of the state dict is \(value.kind), not a tensor",
          hint: "save the weights alone: torch.save(model.state_dict(), …)")
      }
    }
    return withoutDataParallelPrefix(tensors).map {
      NamedTensor(name: prefix + $0.name, shape: $0.shape, values: $0.values)
    } + nested
  }

  private mutating func tensor(_ position: Int, name: String) throws -> NamedTensor {
    let (storage, layout) = unpickler.tensors[position]
    guard layout.count <= remainingValues else {
      throw unpickler.file.failure(
        "tensor \(quoted(name)) of shape \(layout.shape) makes the tensors larger than the file accounts for")
    }
    remainingValues -= layout.count
    return NamedTensor(name: name, shape: layout.shape, values: layout.values(in: storages[storage]))
  }
}

/// The tensors under their names in the network itself: torch's DataParallel puts `module.` in front of all of them.
func withoutDataParallelPrefix(_ tensors: [NamedTensor]) -> [NamedTensor] {
  let prefix = "module."
  guard tensors.allSatisfy({ $0.name.hasPrefix(prefix) }) else { return tensors }
  return tensors.map { NamedTensor(name: String($0.name.dropFirst(prefix.count)), shape: $0.shape, values: $0.values) }
}
