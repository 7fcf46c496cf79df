import Diagnostics
import Distillation
import Imagery
import Network
import Numerics
import TensorFiles

/// From normalised images to their anomaly maps and scores, in one ONNX graph: teacher, student, distances, enlargement, blur and maximum.
func onnxModel(
  _ architecture: Architecture, grid: TileGrid, teacher: any TensorSource, student: any TensorSource
) throws -> ProtobufMessage {
  let side = grid.side
  var network = ONNXNetwork(teacher: teacher, student: student)
  network.graph.input("image", imageShape: [3, side, side])

  var x = network.unit(architecture.teacherStem, network.graph.tiles("image", grid), of: .teacher)
  if architecture.poolsStem {
    x = network.graph.node(
      "MaxPool", [x], ["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])])
  }
  var features: [ONNXGraph.Value] = []
  for stage in 1...architecture.teacherStageCount {
    x = network.blocks(architecture.teacherStage(stage), x, of: .teacher)
    features.append(x)
  }

  switch architecture.model.bottleneck {
  case .pretrained: break
  case .oneClassEmbedding: x = network.blocks(architecture.embedding, features[2], of: .student)
  case .multiScale:
    let convolutions = architecture.fusionConvolutions
    let halved = network.unit(convolutions[0], features[0], of: .student)
    let first = network.unit(convolutions[1], halved, of: .student)
    let second = network.unit(convolutions[2], features[1], of: .student)
    x = network.graph.node("Concat", [first, second, features[2]], ["axis": .int(1)])
    if let projection = architecture.fusionProjection { x = network.unit(projection, x, of: .student) }
    x = network.blocks(architecture.embedding, x, of: .student)
  }

  let mapper = try AnomalyMapper(grid, mapSizes: (1...3).map(architecture.side(ofScale:)))
  let channels = network.graph.constant("channel_axis", integers: [1])
  let one = network.graph.constant("one", [], [1])
  let leastNorm = network.graph.constant("least_norm", [], [LossFunction.leastNorm])
  var sum: ONNXGraph.Value?
  for stage in 1...3 {
    let scale = 4 - stage
    x = network.blocks(architecture.decoderStage(stage), x, of: .student)
    func norm(_ value: ONNXGraph.Value, _ graph: inout ONNXGraph) -> ONNXGraph.Value {
      graph.node("Max", [graph.node("ReduceL2", [value], ["axes": .ints([1]), "keepdims": .int(1)]), leastNorm])
    }
    let product = network.graph.node("Mul", [features[scale - 1], x])
    let inner = network.graph.node("ReduceSum", [product, channels], ["keepdims": .int(1)])
    let norms = network.graph.node("Mul", [norm(features[scale - 1], &network.graph), norm(x, &network.graph)])
    let cosine = network.graph.node("Div", [inner, norms])
    let distances = network.graph.node("Sub", [one, cosine], name: "M\(scale)")
    let maps = network.graph.sideBySide(distances, size: architecture.side(ofScale: scale), grid)
    // Enlargement, blending of tiles, and blur along each axis are one matrix.
    let (size, matrix) = (mapper.mapSizes[scale - 1], mapper.matrix(ofScale: scale))
    let rows = network.graph.constant("A\(scale)", [side, size], matrix)
    let columns = network.graph.constant(
      "A\(scale)_transposed", [size, side],
      (0..<size * side).map { matrix[$0 % side * size + $0 / side] })
    let map = network.graph.node("MatMul", [network.graph.node("MatMul", [rows, maps]), columns])
    sum = sum.map { network.graph.node("Add", [$0, map], name: stage == 3 ? "map" : nil) } ?? map
  }
  let score = network.graph.node(
    "ReduceMax", ["map"], name: "score", ["axes": .ints([1, 2, 3]), "keepdims": .int(0)])
  network.graph.output("map", imageShape: [1, side, side])
  network.graph.output(score, imageShape: [])
  func list(_ values: [Float]) -> String { values.map { "\($0)" }.joined(separator: " ") }
  return network.graph.model(
    named: "reverse_distillation", producer: ("rd-eval", productVersion),
    properties: [
      "backbone": architecture.model.backbone.rawValue, "input": "RGB, values from 0 to 1, minus mean, by deviation",
      "mean": list(ImageNetStatistics.mean), "standard_deviation": list(ImageNetStatistics.standardDeviation),
    ])
}

extension ONNXGraph {
  /// The tiles of images as images of their own: the first tile of every image, then the second.
  fileprivate mutating func tiles(_ images: Value, _ grid: TileGrid) -> Value {
    guard grid.count > 1 else { return images }
    let axes = constant("tile_axes", integers: [2, 3])
    let tiles = (0..<grid.count).map { tile in
      let (x, y) = grid.origin(of: tile)
      let start = constant("tile\(tile)_start", integers: [y, x])
      let end = constant("tile\(tile)_end", integers: [y + grid.tileSide, x + grid.tileSide])
      return node("Slice", [images, start, end, axes])
    }
    return node("Concat", tiles, ["axis": .int(0)])
  }

  /// The maps of an image's tiles as one.
  fileprivate mutating func sideBySide(_ maps: Value, size: Int, _ grid: TileGrid) -> Value {
    guard grid.count > 1 else { return maps }
    let apart = constant("\(maps)_apart", integers: [grid.perSide, grid.perSide, -1, size, size])
    let together = constant("\(maps)_together", integers: [-1, 1, grid.perSide * size, grid.perSide * size])
    let ordered = node("Transpose", [node("Reshape", [maps, apart])], ["perm": .ints([2, 0, 3, 1, 4])])
    return node("Reshape", [ordered, together])
  }
}

/// Units and blocks of the networks as nodes, with constants under the names that the tensors have, the teacher's behind `teacher.`.
private struct ONNXNetwork {
  enum Part { case teacher, student }

  var graph = ONNXGraph()
  let teacher: any TensorSource
  let student: any TensorSource

  /// The unit's convolution, normalisation and activation, with what is added before the latter.
  mutating func unit(
    _ unit: UnitDescription, _ x: ONNXGraph.Value, of part: Part, residual: ONNXGraph.Value? = nil
  ) -> ONNXGraph.Value {
    let (source, prefix) = part == .teacher ? (teacher, "teacher.") : (student, "")
    let constants = unit.tensors.map { name, shape in
      graph.constant(LazyTensor(name: prefix + name, shape: shape) { try source.take(name, shape: shape) })
    }
    let shape = unit.shape
    var value = graph.node(
      shape.isTransposed ? "ConvTranspose" : "Conv", [x, constants[0]],
      [
        "kernel_shape": .ints([shape.kernel, shape.kernel]), "strides": .ints([shape.stride, shape.stride]),
        "pads": .ints([shape.padding, shape.padding, zerosBehind(shape), zerosBehind(shape)]),
        "group": .int(shape.isDepthwise ? shape.inputChannels : 1),
      ])
    value = graph.node("BatchNormalization", [value] + constants.dropFirst(), ["epsilon": .float(unit.epsilon)])
    if let residual { value = graph.node("Add", [value, residual]) }
    switch unit.activation {
    case .linear: return value
    case .relu: return graph.node("Relu", [value])
    case .relu6:
      let name = unit.convolution
      return graph.node(
        "Clip", [value, graph.constant("\(name).least", [], [0]), graph.constant("\(name).most", [], [6])])
    }
  }

  mutating func blocks(
    _ blocks: [BlockDescription], _ x: ONNXGraph.Value, of part: Part
  ) -> ONNXGraph.Value {
    var x = x
    for block in blocks {
      var residual = block.isResidual ? x : nil
      if let skip = block.skip { residual = unit(skip, x, of: part) }
      for (index, description) in block.units.enumerated() {
        x = unit(description, x, of: part, residual: index == block.units.count - 1 ? residual : nil)
      }
    }
    return x
  }
}

/// Zeros that the last window reaches behind the last row.
private func zerosBehind(_ shape: ConvolutionShape) -> Int {
  if shape.isTransposed { return 0 }
  return max((shape.outputHeight - 1) * shape.stride + shape.kernel - shape.inputHeight - shape.padding, 0)
}
