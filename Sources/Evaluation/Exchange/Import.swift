import Checkpoints
import Diagnostics
import Distillation
import FileSystem
import Jobs
import TensorFiles
import Training

/// Makes a run out of a student that another program trained: rd-eval evaluates it and predicts with it, and nothing can go on training it.
/// - Parameters:
///   - file: `.pth` of the authors' program or of anomalib, or `.safetensors`.
///   - run: the folder that is to hold the checkpoint.
///   - teacher: as rd-train takes it.
/// - Throws: `Failure(.badData)` where the file is not of an architecture known here, `.usage` where the folder holds a run, `.inputOutput`.
public func importModel(
  from file: String, to run: String, teacher: String, imageSize: Int, console: Console
) throws {
  guard imageSize > 0, imageSize.isMultiple(of: 32) else {
    throw Failure(.usage, "--image-size \(imageSize): must be a multiple of 32")
  }
  let folder = RunFolder(run).checkpoints
  guard !isFolder(folder) else {
    throw Failure(.usage, "\(run): holds a run already", hint: "choose another folder")
  }
  let table = try underAuthorsNames(TensorFile.read(path: file))
  guard let architecture = architecture(of: table, imageSize: imageSize) else {
    throw Failure(
      .badData, "\(file): its \(table.names.count) tensors are not those of a student known here",
      hint: "docs/exchange.md says which are read")
  }
  let tensors = try architecture.studentUnits.flatMap(\.tensors).map { name, shape in
    NamedTensor(name: name, shape: shape, values: try table.take(name, shape: shape))
  }
  if let broken = tensors.first(where: { !$0.values.allSatisfy(\.isFinite) }) {
    throw Failure(.badData, "\(file): tensor \"\(broken.name)\" holds values that are not finite")
  }
  let weights = try TeacherWeights(source: teacher, for: architecture)

  var configuration = TrainingConfiguration.draft
  let model = architecture.model
  (configuration.backbone, configuration.bottleneck) = (model.backbone, model.bottleneck)
  (configuration.loss, configuration.fusion) = (model.loss, model.fusion)
  configuration.imageSize = model.imageSize
  let record = CheckpointRecord(
    configuration: configuration.checkpointText, producer: versionText(tool: "rd-eval"), step: 0, epoch: 0,
    dataFingerprint: "imported", shardOrder: [], teacherHash: weights.hash, lossHistory: [], normalStatistics: nil)
  try makeFolder(folder)
  let store = CheckpointStore(storage: FolderStorage(folder)) { console.warn("\($0.name): \($0.reason)") }
  let written = try store.commit(
    Checkpoint(
      record,
      tensors: [
        .parameters: tensors.map(LazyTensor.init), .teacher: weights.table.tensors.map(LazyTensor.init),
      ]))
  console.say(
    "\(folder)/\(written.name): \(model.backbone.rawValue), bottleneck \(model.bottleneck.rawValue), fusion \(model.fusion.rawValue)"
  )
}

/// anomalib's modules are `model.bottleneck` and `model.decoder`; what else its files hold is the teacher.
private func underAuthorsNames(_ table: TensorTable) throws -> TensorTable {
  guard table.names.contains(where: { $0.hasPrefix("model.decoder.") }) else { return table }
  let tensors: [NamedTensor] = table.tensors.compactMap { tensor in
    for (prefix, authors) in [("model.bottleneck.", "bn."), ("model.decoder.", "decoder.")]
    where tensor.name.hasPrefix(prefix) {
      return NamedTensor(
        name: authors + tensor.name.dropFirst(prefix.count), shape: tensor.shape, values: tensor.values)
    }
    return nil
  }
  return try TensorTable(tensors, source: table.source)
}

/// The architecture whose student has exactly these tensors; nil where there is none.
private func architecture(of table: TensorTable, imageSize: Int) -> Architecture? {
  var found: [String: [Int]] = [:]
  for tensor in table.tensors where !tensor.name.hasSuffix(".num_batches_tracked") && !isUnused(tensor.name) {
    found[tensor.name] = tensor.shape
  }
  for backbone in Backbone.allCases {
    for bottleneck in BottleneckKind.allCases {
      // The loss leaves no trace: it is taken to be that of the preset with this fusion.
      for (fusion, loss) in [(Fusion.concatenation, DistillationLoss.flattened), (.convolution, .perPixel)] {
        let architecture = Architecture(
          ModelConfiguration(
            backbone: backbone, loss: loss, fusion: fusion, bottleneck: bottleneck, imageSize: imageSize))
        let own = Dictionary(
          uniqueKeysWithValues: architecture.studentUnits.flatMap(\.tensors).map { ($0.name, $0.shape) })
        if own == found { return architecture }
      }
    }
  }
  return nil
}

/// A part of the authors' bottleneck that nothing uses.
private func isUnused(_ name: String) -> Bool { name.hasPrefix("bn.conv4.") || name.hasPrefix("bn.bn4.") }
