import Diagnostics

/// One tensor of a network: its parameter name, its shape, and its values in row-major order.
public struct NamedTensor: Sendable, Equatable {
  public let name: String
  /// The sizes of the dimensions, outermost first; empty for a scalar.
  public let shape: [Int]
  /// `shape`'s product of values, the last dimension fastest.
  public let values: [Float]

  public init(name: String, shape: [Int], values: [Float]) {
    self.name = name
    self.shape = shape
    self.values = values
  }
}

/// The tensors of one file, ordered by name.
public struct TensorTable: TensorSource, Sendable {
  public let source: String
  /// All tensors, ordered by name.
  public let tensors: [NamedTensor]
  private let positions: [String: Int]

  /// - Throws: ``Failure`` with code `badData` where two tensors share a name or a tensor's shape does not fit its values.
  public init(_ tensors: [NamedTensor], source: String) throws {
    self.source = source
    self.tensors = tensors.sorted { $0.name < $1.name }
    var positions: [String: Int] = [:]
    for (position, tensor) in self.tensors.enumerated() {
      guard positions.updateValue(position, forKey: tensor.name) == nil else {
        throw Failure(.badData, "\(source): two tensors are named \(quoted(tensor.name))")
      }
      guard elementCount(tensor.shape) == tensor.values.count else {
        throw Failure(
          .badData,
          "\(source): tensor \(quoted(tensor.name)) has shape \(tensor.shape) but \(tensor.values.count) values")
      }
    }
    self.positions = positions
  }

  /// The names of all tensors, ordered.
  public var names: [String] { tensors.map(\.name) }

  /// The tensor of that name, if there is one.
  public subscript(name: String) -> NamedTensor? { positions[name].map { tensors[$0] } }

  public func tensor(_ name: String) -> LazyTensor? { self[name].map(LazyTensor.init) }
}

/// The product of a shape's sizes; nil where one is negative or the product exceeds an `Int`.
package func elementCount(_ shape: [Int]) -> Int? {
  guard shape.allSatisfy({ $0 >= 0 }) else { return nil }
  // An empty dimension first: [2^62, 2^62, 0] is a legal, empty shape.
  if shape.contains(0) { return 0 }
  var count = 1
  for size in shape {
    let (product, overflow) = count.multipliedReportingOverflow(by: size)
    if overflow { return nil }
    count = product
  }
  return count
}
