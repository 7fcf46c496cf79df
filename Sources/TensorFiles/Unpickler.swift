import Diagnostics

/// What a pickle describes.
///
/// Values that hold others stand for a position in the ``Unpickler``'s arrays: pickles share values and can even nest them in themselves,
/// and so neither a cycle nor a deep nest of them takes more than an array element.
enum PickleValue {
  case none
  case bool(Bool)
  case integer(Int)
  /// A floating-point number, or an integer beyond 64 bits: nothing about a tensor depends on its value.
  case otherNumber
  case string(String)
  case bytes
  case tuple(Int)
  case list(Int)
  case dictionary(Int)
  /// A Python class or function, by module and name. It is never called: see ``Unpickler/call(_:_:)``.
  case global(String)
  case storage(Int)
  case tensor(Int)

  var kind: String {
    switch self {
    case .none: "None"
    case .bool: "a bool"
    case .integer, .otherNumber: "a number"
    case .string: "a string"
    case .bytes: "bytes"
    case .tuple: "a tuple"
    case .list: "a list"
    case .dictionary: "a dict"
    case .global(let name): "the global \(quoted(name))"
    case .storage: "a storage"
    case .tensor: "a tensor"
    }
  }
}

/// A reader of Python's pickles (protocols 2 to 5) that executes nothing: the handful of callables that torch.save writes are known by
/// name and have their effect described here; every other one is refused (Python's `pickletools` documents the opcodes).
struct Unpickler {
  /// A run of numbers that tensors are views of; its bytes are elsewhere in the file.
  struct Storage {
    let key: String
    let type: ElementType
    /// Elements.
    let count: Int

    var byteCount: Int { count * type.size }
  }

  let file: FileBytes
  private(set) var position: Int
  private let end: Int
  /// Opcodes that may still be read and items that they may still copy: time and memory stay bounded whatever the pickle says.
  private var effort = 1 << 21
  private var stack: [PickleValue] = []
  /// The heights that the stack had at the open MARKs.
  private var marks: [Int] = []
  private var memo: [Int: PickleValue] = [:]

  /// The items of tuples and lists.
  private(set) var sequences: [[PickleValue]] = []
  var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
  var storages: [Storage] = []
  var storagePositions: [String: Int] = [:]
  var tensors: [(storage: Int, layout: TensorLayout)] = []

  init(_ file: FileBytes, in range: Range<Int>) {
    self.file = file
    position = range.lowerBound
    end = range.upperBound
  }

  /// Reads one pickle and leaves `position` behind it.
  mutating func load() throws -> PickleValue {
    stack.removeAll()
    marks.removeAll()
    memo.removeAll()
    while true {
      let start = position
      let code = try number(UInt8.self)
      guard let opcode = Opcode(rawValue: code) else {
        throw file.failure(
          "the pickle opcode 0x\(String(code, radix: 16)) is not one that torch.save writes", at: start)
      }
      try spend(1)
      if opcode == .stop { return try pop() }
      try execute(opcode)
    }
  }

  private enum Opcode: UInt8 {
    case proto = 0x80
    case frame = 0x95
    case stop = 0x2E  // .
    case mark = 0x28  // (
    case pop = 0x30  // 0
    case popMark = 0x31  // 1
    case duplicate = 0x32  // 2
    case none = 0x4E  // N
    case newTrue = 0x88
    case newFalse = 0x89
    case int32 = 0x4A  // J
    case uint8 = 0x4B  // K
    case uint16 = 0x4D  // M
    case long1 = 0x8A
    case long4 = 0x8B
    case double = 0x47  // G
    case unicode = 0x58  // X
    case shortUnicode = 0x8C
    case unicode8 = 0x8D
    case string = 0x54  // T, a Python 2 str
    case shortString = 0x55  // U
    case bytes = 0x42  // B
    case shortBytes = 0x43  // C
    case bytes8 = 0x8E
    case byteArray8 = 0x96
    case emptyTuple = 0x29  // )
    case tuple1 = 0x85
    case tuple2 = 0x86
    case tuple3 = 0x87
    case tuple = 0x74  // t
    case emptyList = 0x5D  // ]
    case list = 0x6C  // l
    case append = 0x61  // a
    case appends = 0x65  // e
    case emptyDictionary = 0x7D  // }
    case dictionary = 0x64  // d
    case setItem = 0x73  // s
    case setItems = 0x75  // u
    case get = 0x68  // h
    case longGet = 0x6A  // j
    case put = 0x71  // q
    case longPut = 0x72  // r
    case memoize = 0x94
    case global = 0x63  // c
    case stackGlobal = 0x93
    case reduce = 0x52  // R
    case newObject = 0x81
    case build = 0x62  // b
    case persistentID = 0x51  // Q
  }

  private mutating func execute(_ opcode: Opcode) throws {
    switch opcode {
    case .stop: break
    case .proto:
      let version = try number(UInt8.self)
      guard (2...5).contains(version) else {
        throw file.failure("pickle protocol \(version) is not supported", at: position - 1)
      }
    case .frame: _ = try number(UInt64.self)

    case .mark: marks.append(stack.count)
    case .pop: _ = try pop()
    case .popMark: _ = try popToMark()
    case .duplicate: stack.append(try top())

    case .none: stack.append(.none)
    case .newTrue: stack.append(.bool(true))
    case .newFalse: stack.append(.bool(false))
    case .int32: stack.append(.integer(Int(try number(Int32.self))))
    case .uint8: stack.append(.integer(Int(try number(UInt8.self))))
    case .uint16: stack.append(.integer(Int(try number(UInt16.self))))
    case .long1: stack.append(try integer(size: Int(try number(UInt8.self))))
    case .long4: stack.append(try integer(size: Int(try number(UInt32.self))))
    case .double:
      _ = try number(UInt64.self)
      stack.append(.otherNumber)

    case .unicode, .string: stack.append(.string(try text(size: try number(UInt32.self))))
    case .shortUnicode, .shortString: stack.append(.string(try text(size: try number(UInt8.self))))
    case .unicode8: stack.append(.string(try text(size: try number(UInt64.self))))
    case .bytes: try bytes(size: try number(UInt32.self))
    case .shortBytes: try bytes(size: try number(UInt8.self))
    case .bytes8, .byteArray8: try bytes(size: try number(UInt64.self))

    case .emptyTuple: stack.append(.tuple(store([])))
    case .tuple1: try tuple(1)
    case .tuple2: try tuple(2)
    case .tuple3: try tuple(3)
    case .tuple: stack.append(.tuple(store(try popToMark())))
    case .emptyList: stack.append(.list(store([])))
    case .list: stack.append(.list(store(try popToMark())))
    case .append: try append([try pop()])
    case .appends: try append(try popToMark())
    case .emptyDictionary: stack.append(newDictionary())
    case .dictionary:
      let items = try popToMark()
      stack.append(newDictionary())
      try setItems(items)
    case .setItem:
      let value = try pop()
      try setItems([try pop(), value])
    case .setItems: try setItems(try popToMark())

    case .get: try get(Int(try number(UInt8.self)))
    case .longGet: try get(Int(try number(UInt32.self)))
    case .put: memo[Int(try number(UInt8.self))] = try top()
    case .longPut: memo[Int(try number(UInt32.self))] = try top()
    case .memoize: memo[memo.count] = try top()

    case .global:
      let module = try line()
      stack.append(.global("\(module).\(try line())"))
    case .stackGlobal:
      guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
        throw file.failure("a global is not named by two strings", at: position - 1)
      }
      try spend(name.utf8.count + module.utf8.count)
      stack.append(.global("\(module).\(name)"))
    case .reduce, .newObject:
      guard case .tuple(let arguments) = try pop(), case .global(let name) = try pop() else {
        throw file.failure("a call is not one of a global with a tuple", at: position - 1)
      }
      stack.append(try call(name, sequences[arguments]))
    case .build:
      let state = try pop()
      try setState(state, of: try top())
    case .persistentID: stack.append(try persistent(try pop()))
    }
  }

  // MARK: The machine

  mutating func spend(_ amount: Int) throws {
    effort -= min(amount, effort + 1)
    guard effort >= 0 else { throw file.failure("the pickle is too long to describe a network", at: position) }
  }

  private mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) throws -> Number {
    let start = try take(UInt64(MemoryLayout<Number>.size))
    return try file.load(Number.self, at: start)
  }

  /// Steps over `size` bytes and returns where they start.
  private mutating func take(_ size: some FixedWidthInteger) throws -> Int {
    guard let size = Int(exactly: size), size <= end - position else {
      throw file.failure(
        "the pickle ends at byte \(end) in the midst of a value", at: position,
        hint: "the file is damaged or its copy incomplete: fetch it again")
    }
    defer { position += size }
    return position
  }

  private mutating func text(size: some FixedWidthInteger) throws -> String {
    let start = try take(size)
    return try file.text(at: start, count: position - start)
  }

  private mutating func bytes(size: some FixedWidthInteger) throws {
    _ = try take(size)
    stack.append(.bytes)
  }

  /// A two's-complement integer of any number of bytes.
  private mutating func integer(size: Int) throws -> PickleValue {
    let start = try take(size)
    guard size <= 8 else { return .otherNumber }
    var bits: UInt64 = 0
    for (place, byte) in try file.slice(at: start, count: size).enumerated() { bits |= UInt64(byte) << (8 * place) }
    let unused = UInt64(64 - 8 * size)
    return .integer(size == 0 ? 0 : Int(Int64(bitPattern: bits << unused) >> unused))
  }

  /// Text up to the next line feed, which names a module or a global.
  private mutating func line() throws -> String {
    let start = position
    while try number(UInt8.self) != 0x0A {
      guard position - start <= 256 else { throw file.failure("a global's name is too long", at: start) }
    }
    return try file.text(at: start, count: position - 1 - start)
  }

  private func top() throws -> PickleValue {
    guard stack.count > marks.last ?? 0, let value = stack.last else {
      throw file.failure("the pickle's stack is empty", at: position)
    }
    return value
  }

  private mutating func pop() throws -> PickleValue {
    let value = try top()
    stack.removeLast()
    return value
  }

  private mutating func popToMark() throws -> [PickleValue] {
    guard let mark = marks.popLast() else { throw file.failure("the pickle has no mark to go back to", at: position) }
    defer { stack.removeSubrange(mark...) }
    return Array(stack[mark...])
  }

  private mutating func store(_ items: [PickleValue]) -> Int {
    sequences.append(items)
    return sequences.count - 1
  }

  mutating func newDictionary() -> PickleValue {
    dictionaries.append([])
    return .dictionary(dictionaries.count - 1)
  }

  private mutating func tuple(_ count: Int) throws {
    var items: [PickleValue] = []
    for _ in 0..<count { items.append(try pop()) }
    stack.append(.tuple(store(items.reversed())))
  }

  private mutating func append(_ items: [PickleValue]) throws {
    guard case .list(let list) = try top() else {
      throw file.failure("items are appended to \(try top().kind), not a list", at: position)
    }
    sequences[list] += items
  }

  private mutating func setItems(_ items: [PickleValue]) throws {
    guard case .dictionary(let dictionary) = try top(), items.count.isMultiple(of: 2) else {
      throw file.failure("items are set in \(try top().kind), or a key is without its value", at: position)
    }
    for index in stride(from: 0, to: items.count, by: 2) {
      dictionaries[dictionary].append((items[index], items[index + 1]))
    }
  }

  private mutating func get(_ index: Int) throws {
    guard let value = memo[index] else { throw file.failure("the pickle's memo has no entry \(index)", at: position) }
    stack.append(value)
  }
}
