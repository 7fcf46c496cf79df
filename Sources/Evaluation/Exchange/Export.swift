import Checkpoints
import Collectives
import Diagnostics
import Distillation
import FileSystem
import Jobs
import TensorFiles
import Training

/// A trained model as other programs read it.
public enum ExportFormat: CaseIterable, Sendable {
  /// What the authors' code saves: `{'bn': state dict, 'decoder': state dict}`.
  case torch
  /// The same tensors under the same names, with `bn.` and `decoder.` in front.
  case safetensors
  /// Teacher and student, from an image to its map and score.
  case onnx

  public var extensions: [String] {
    switch self {
    case .torch: ["pth", "pt"]
    case .safetensors: ["safetensors"]
    case .onnx: ["onnx"]
    }
  }

  /// The format that a file's name asks for.
  /// - Throws: `Failure(.usage)`.
  public init(ofFile path: String) throws {
    let suffix = path.split(separator: "/").last?.split(separator: ".").dropFirst().last.map(String.init) ?? ""
    guard let format = Self.allCases.first(where: { $0.extensions.contains(suffix.lowercased()) }) else {
      throw Failure(
        .usage, "\(path): the name says no format that can be written", hint: "end it in .pth, .safetensors or .onnx")
    }
    self = format
  }
}

/// Writes the model of a checkpoint to a file of another format.
/// - Parameters:
///   - path: a run's folder, whose newest valid checkpoint is taken, or a checkpoint.
///   - teacher: the teacher's weights, where the checkpoint holds their hash only.
/// - Throws: `Failure(.badData)` where the checkpoint is not valid, `.usage` where the teacher is needed and missing, `.inputOutput` where the file
///   cannot be written.
public func exportModel(of path: String, to file: String, teacher given: String?, console: Console) throws {
  let format = try ExportFormat(ofFile: file)
  let needsTeacher = format == .onnx
  let (checkpoint, name) = try openCheckpoint(
    path, withTeacher: needsTeacher && given == nil, console: console)
  let configuration = try TrainingConfiguration(checkpointText: checkpoint.record.configuration, file: name)
  let architecture = Architecture(configuration.model)
  // In PyTorch's order, and all of them.
  let student = LazyTensors(
    architecture.studentUnits.flatMap(\.tensors).map { tensor, shape in
      LazyTensor(name: tensor, shape: shape) { try checkpoint[.parameters].take(tensor, shape: shape) }
    }, source: name)
  switch format {
  case .torch:
    try TensorFile.write(
      authorsDictionaries(of: student, architecture, steps: checkpoint.record.step), toTorch: file)
  case .safetensors:
    try TensorFile.write(
      student.tensors, toSafetensors: file,
      metadata: [
        "format": "pt", "backbone": configuration.backbone.rawValue, "fusion": configuration.model.fusion.rawValue,
      ])
  case .onnx:
    let weights = try teacherWeights(of: checkpoint, named: name, given: given, for: architecture)
    try onnxModel(architecture, grid: configuration.grid, teacher: weights.table, student: student).write(to: file)
  }
  console.say("\(file): \(name) after \(checkpoint.record.step) steps, \((fileSize(file) ?? 0) >> 20) MiB")
}

/// The student as the authors' program saves it. Batch normalisations count their batches there, and the bottleneck has a convolution and a normalisation
/// that nothing uses: they are there too, the weights zero, lest their loader misses them.
private func authorsDictionaries(
  of student: LazyTensors, _ architecture: Architecture, steps: Int
) -> [(key: String, values: [TensorFile.TorchValue])] {
  ["bn", "decoder"].map { key in
    var values: [TensorFile.TorchValue] = []
    var tensors = student.tensors.filter { $0.name.hasPrefix("\(key).") }
    if key == "bn", architecture.model.bottleneck == .multiScale { tensors += architecture.unusedTensors }
    for tensor in tensors {
      let name = String(tensor.name.dropFirst(key.utf8.count + 1))
      values.append(.tensor(LazyTensor(name: name, shape: tensor.shape, values: tensor.values)))
      if name.hasSuffix(".running_var") {
        values.append(.number(name: name.replacing("running_var", with: "num_batches_tracked"), value: steps))
      }
    }
    return (key, values)
  }
}

extension Architecture {
  /// `bn.conv4` and `bn.bn4` of the authors' bottleneck.
  fileprivate var unusedTensors: [LazyTensor] {
    let (embedding, wide) = (channels(ofScale: 4), 4 * channels(ofScale: 3))
    func constant(_ name: String, _ shape: [Int], _ value: Float) -> LazyTensor {
      LazyTensor(name: "bn.\(name)", shape: shape) { Array(repeating: value, count: shape.reduce(1, *)) }
    }
    return [
      constant("conv4.weight", [embedding, wide, 1, 1], 0), constant("bn4.weight", [embedding], 1),
      constant("bn4.bias", [embedding], 0), constant("bn4.running_mean", [embedding], 0),
      constant("bn4.running_var", [embedding], 1),
    ]
  }
}
