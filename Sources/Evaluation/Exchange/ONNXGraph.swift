import TensorFiles

/// A network as ONNX describes it (onnx.proto, opset 17): nodes in the order of their computation, constants, inputs and outputs.
/// A value is known by its name.
struct ONNXGraph {
  typealias Value = String

  enum Attribute {
    case int(Int)
    case ints([Int])
    case float(Double)
  }

  static let opset = 17
  /// What ONNX calls the types of a tensor's elements, and those of an attribute.
  private enum Code {
    static let float32 = 1, int64 = 7
    static let attributeFloat = 1, attributeInt = 2, attributeInts = 7
  }

  private var graph = ProtobufMessage()
  private var nodes = 0

  /// A node, and the name of its only output.
  /// - Parameter name: of the output; a new one without it.
  mutating func node(
    _ operation: String, _ inputs: [Value], name: Value? = nil, _ attributes: KeyValuePairs<String, Attribute> = [:]
  ) -> Value {
    nodes += 1
    let output = name ?? "\(operation)_\(nodes)"
    var node = ProtobufMessage()
    for input in inputs { node.add(1, input) }
    node.add(2, output)
    node.add(3, output)
    node.add(4, operation)
    for (name, attribute) in attributes {
      var message = ProtobufMessage()
      message.add(1, name)
      switch attribute {
      case .int(let value):
        message.add(3, value)
        message.add(20, Code.attributeInt)
      case .ints(let values):
        for value in values { message.add(8, value) }
        message.add(20, Code.attributeInts)
      case .float(let value):
        message.add(2, Float(value))
        message.add(20, Code.attributeFloat)
      }
      node.add(5, message)
    }
    graph.add(1, node)
    return output
  }

  /// A constant of float32.
  mutating func constant(_ tensor: LazyTensor) -> Value {
    var message = ProtobufMessage()
    for size in tensor.shape { message.add(1, size) }
    message.add(2, Code.float32)
    message.add(8, tensor.name)
    message.add(9, valuesOf: tensor)
    graph.add(5, message)
    return tensor.name
  }

  mutating func constant(_ name: Value, _ shape: [Int], _ values: [Float]) -> Value {
    constant(LazyTensor(NamedTensor(name: name, shape: shape, values: values)))
  }

  /// A constant list of whole numbers.
  mutating func constant(_ name: Value, integers: [Int]) -> Value {
    var message = ProtobufMessage()
    message.add(1, integers.count)
    message.add(2, Code.int64)
    message.add(8, name)
    message.add(9, bytes: integers.flatMap { littleEndian(Int64($0)) })
    graph.add(5, message)
    return name
  }

  /// Images' values of float32; the number of images is free.
  mutating func input(_ name: Value, imageShape: [Int]) { graph.add(11, valueInfo(name, imageShape)) }
  mutating func output(_ name: Value, imageShape: [Int]) { graph.add(12, valueInfo(name, imageShape)) }

  private func valueInfo(_ name: Value, _ imageShape: [Int]) -> ProtobufMessage {
    var shape = ProtobufMessage()
    var images = ProtobufMessage()
    images.add(2, "images")
    shape.add(1, images)
    for size in imageShape {
      var dimension = ProtobufMessage()
      dimension.add(1, size)
      shape.add(1, dimension)
    }
    var tensor = ProtobufMessage()
    tensor.add(1, Code.float32)
    tensor.add(2, shape)
    var type = ProtobufMessage()
    type.add(1, tensor)
    var info = ProtobufMessage()
    info.add(1, name)
    info.add(2, type)
    return info
  }

  /// The file's content.
  /// - Parameter properties: what programs that use the file may want to know.
  consuming func model(
    named name: String, producer: (name: String, version: String), properties: KeyValuePairs<String, String>
  ) -> ProtobufMessage {
    graph.add(2, name)
    var operators = ProtobufMessage()
    operators.add(1, "")
    operators.add(2, Self.opset)
    var model = ProtobufMessage()
    // The version of onnx.proto that came with this opset.
    model.add(1, 8)
    model.add(2, producer.name)
    model.add(3, producer.version)
    model.add(7, graph)
    model.add(8, operators)
    for (key, value) in properties {
      var property = ProtobufMessage()
      property.add(1, key)
      property.add(2, value)
      model.add(14, property)
    }
    return model
  }
}
