import Diagnostics

/// A tensor whose values are made, gathered or read when they are asked for, and not kept.
public struct LazyTensor {
  public let name: String
  public let shape: [Int]
  /// The values as in ``NamedTensor``.
  public let values: () throws -> [Float]

  public init(name: String, shape: [Int], values: @escaping () throws -> [Float]) {
    self.name = name
    self.shape = shape
    self.values = values
  }

  public init(_ tensor: NamedTensor) {
    self.init(name: tensor.name, shape: tensor.shape) { tensor.values }
  }

  /// The tensor with its values.
  public func loaded() throws -> NamedTensor { NamedTensor(name: name, shape: shape, values: try values()) }
}

/// Tensors by their names.
public protocol TensorSource {
  /// Where the tensors come from, as error messages name it: usually a path.
  var source: String { get }
  /// The names of all tensors.
  var names: [String] { get }
  /// The tensor of that name, if there is one.
  func tensor(_ name: String) -> LazyTensor?
}

extension TensorSource {
  /// The values of a tensor that the caller cannot do without.
  /// - Throws: ``Failure`` with code `badData` that says what was expected and what the file holds instead.
  public func take(_ name: String, shape: [Int]) throws -> [Float] {
    guard let tensor = tensor(name) else {
      let some = names.prefix(4).map(quoted).joined(separator: ", ")
      throw Failure(
        .badData, "\(source): tensor \(quoted(name)) of shape \(shape) is missing",
        hint: names.isEmpty
          ? "the file holds no tensor at all"
          : "the file holds \(names.count) tensors: \(some)\(names.count > 4 ? ", …" : "")"
            + "; is it of another architecture?")
    }
    guard tensor.shape == shape else {
      throw Failure(
        .badData, "\(source): tensor \(quoted(name)) has shape \(tensor.shape) where \(shape) is expected",
        hint: "the file is of another architecture")
    }
    return try tensor.values()
  }
}

/// Tensors of which no more than one need be in memory.
public struct LazyTensors: TensorSource {
  public let source: String
  public let tensors: [LazyTensor]
  private let positions: [String: Int]

  /// - Parameter tensors: of different names.
  public init(_ tensors: [LazyTensor], source: String) {
    self.source = source
    self.tensors = tensors
    positions = Dictionary(tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
  }

  public var names: [String] { tensors.map(\.name) }
  public func tensor(_ name: String) -> LazyTensor? { positions[name].map { tensors[$0] } }
}
