import Diagnostics

/// What the Python objects in torch.save's pickles stand for.
extension Unpickler {
  /// The result of calling one of the few Python callables that make up a state dict.
  mutating func call(_ function: String, _ arguments: [PickleValue]) throws -> PickleValue {
    switch function {
    case "collections.OrderedDict": return try orderedDictionary(arguments)
    case "torch._utils._rebuild_tensor": return try tensor(arguments, count: 4...4)
    case "torch._utils._rebuild_tensor_v2": return try tensor(arguments, count: 6...7)
    case "torch._utils._rebuild_tensor_v3":
      guard arguments.count >= 7, case .global(let name) = arguments[6], let type = ElementType(torchType: name) else {
        throw malformed(function)
      }
      return try tensor(arguments, count: 7...8, type: type)
    case "torch._utils._rebuild_parameter", "torch.nn.parameter.Parameter":
      guard case .tensor? = arguments.first, arguments.count <= 3 else { throw malformed(function) }
      return arguments[0]
    case "torch.Size":
      guard case .tuple? = arguments.first, arguments.count == 1 else { throw malformed(function) }
      return arguments[0]
    default:
      throw file.failure(
        "the pickle calls \(quoted(function)), which is refused: only tensors and dicts of them are read", at: position,
        hint: "if you trust the file, load it in PyTorch and save its tensors alone: torch.save(model.state_dict(), …)")
    }
  }

  /// Takes note of the state that Python would give an object after making it. Nothing in it matters to a tensor's values.
  func setState(_ state: PickleValue, of object: PickleValue) throws {
    switch (object, state) {
    // The attributes of an OrderedDict: `_metadata`, which holds the versions of the modules.
    case (.dictionary, .dictionary): break
    // The state of a Parameter as PyTorch before 0.4 wrote it: (requires_grad, volatile, hooks).
    case (.tensor, .tuple(let items)) where sequences[items].count == 3: break
    default: throw file.failure("the pickle sets the state of \(object.kind) to \(state.kind)", at: position)
    }
  }

  /// The storage that a persistent id describes: ("storage", type, key, device, element count[, None]).
  mutating func persistent(_ id: PickleValue) throws -> PickleValue {
    guard case .tuple(let position) = id, (5...6).contains(sequences[position].count),
      case .string("storage") = sequences[position][0], case .global(let typeName) = sequences[position][1],
      case .string(let key) = sequences[position][2], case .integer(let count) = sequences[position][4]
    else { throw malformed("persistent_load") }
    if sequences[position].count == 6 {
      guard case .none = sequences[position][5] else {
        throw file.failure(
          "storage \(quoted(key)) is a view of another, which only early versions of PyTorch wrote", at: self.position)
      }
    }
    guard let type = ElementType(torchStorage: typeName) else {
      throw file.failure("storage \(quoted(key)) has the unsupported type \(quoted(typeName))", at: self.position)
    }
    guard (0...file.count / type.size).contains(count) else {
      throw file.failure(
        "storage \(quoted(key)) is said to have \(count) elements, more than the file's \(file.count) bytes hold",
        at: self.position)
    }
    if let known = storagePositions[key] {
      guard storages[known].type == type, storages[known].count == count else {
        throw file.failure("storage \(quoted(key)) is described in two ways", at: self.position)
      }
      return .storage(known)
    }
    storagePositions[key] = storages.count
    storages.append(Storage(key: key, type: type, count: count))
    return .storage(storages.count - 1)
  }

  /// OrderedDict(), or OrderedDict([[key, value], …]) as Python 2 wrote it.
  private mutating func orderedDictionary(_ arguments: [PickleValue]) throws -> PickleValue {
    var items: [(key: PickleValue, value: PickleValue)] = []
    if let first = arguments.first {
      guard case .list(let list) = first, arguments.count == 1 else { throw malformed("collections.OrderedDict") }
      try spend(sequences[list].count)
      for item in sequences[list] {
        switch item {
        case .list(let pair) where sequences[pair].count == 2, .tuple(let pair) where sequences[pair].count == 2:
          items.append((sequences[pair][0], sequences[pair][1]))
        default: throw malformed("collections.OrderedDict")
        }
      }
    }
    dictionaries.append(items)
    return .dictionary(dictionaries.count - 1)
  }

  /// A tensor from (storage, offset, shape, strides[, requires_grad, hooks[, type][, metadata]]).
  private mutating func tensor(
    _ arguments: [PickleValue], count: ClosedRange<Int>, type: ElementType? = nil
  ) throws -> PickleValue {
    guard count.contains(arguments.count), case .storage(let position) = arguments[0],
      case .integer(let offset) = arguments[1], let shape = integers(arguments[2]), let strides = integers(arguments[3])
    else { throw malformed("torch._utils._rebuild_tensor") }
    // Metadata is there to say that a view is conjugated or negated.
    if count.count == 2, arguments.count == count.upperBound {
      switch arguments[arguments.count - 1] {
      case .none: break
      case .dictionary(let entries) where dictionaries[entries].isEmpty: break
      default: throw file.failure("a tensor is a conjugated or negated view", at: self.position)
      }
    }
    let storage = storages[position]
    let type = type ?? storage.type
    let storageCount = storage.byteCount / type.size
    guard
      let layout = TensorLayout(
        type: type, shape: shape, strides: strides, offset: offset, storageCount: storageCount)
    else {
      throw file.failure(
        "a tensor of shape \(shape) with strides \(strides) from element \(offset) on does not lie in its storage"
          + " \(quoted(storage.key)) of \(storageCount) elements", at: self.position)
    }
    tensors.append((position, layout))
    return .tensor(tensors.count - 1)
  }

  /// A tuple of integers, one a dimension; nil where it is anything else.
  private func integers(_ value: PickleValue) -> [Int]? {
    guard case .tuple(let position) = value, sequences[position].count <= TensorLayout.mostDimensions else {
      return nil
    }
    var integers: [Int] = []
    for item in sequences[position] {
      guard case .integer(let integer) = item else { return nil }
      integers.append(integer)
    }
    return integers
  }

  private func malformed(_ function: String) -> Failure {
    file.failure("the pickle calls \(function) with arguments that do not fit it", at: position)
  }
}

extension ElementType {
  /// The type of a storage, by its Python class. An untyped one counts bytes.
  fileprivate init?(torchStorage name: String) {
    switch name {
    case "torch.DoubleStorage": self = .float64
    case "torch.FloatStorage": self = .float32
    case "torch.HalfStorage": self = .float16
    case "torch.BFloat16Storage": self = .bfloat16
    case "torch.LongStorage": self = .int64
    case "torch.IntStorage": self = .int32
    case "torch.ShortStorage": self = .int16
    case "torch.CharStorage": self = .int8
    case "torch.ByteStorage", "torch.storage.UntypedStorage": self = .uint8
    case "torch.BoolStorage": self = .bool
    default: return nil
    }
  }

  /// The types that have no storage class of their own and are named beside an untyped one.
  fileprivate init?(torchType name: String) {
    switch name {
    case "torch.uint16": self = .uint16
    case "torch.uint32": self = .uint32
    case "torch.uint64": self = .uint64
    default: return nil
    }
  }
}
