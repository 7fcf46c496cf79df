import Diagnostics
import FileSystem
import TensorFiles

/// HDF5 files of a network's weights: one dataset a tensor, named as PyTorch names it.
public enum HDF5TensorFile {
  /// Reads the teacher of a checkpoint, or else all floating-point datasets at the root of the file.
  /// - Throws: ``Failure`` with code `badData` where the file is absent, damaged or holds no weights, `inputOutput`
  ///   where it cannot be read.
  public static func read(path: String) throws -> TensorTable {
    let tensors = try HDF5File.read(OpenFile(reading: path)) { root in
      guard try root.has(Place.teacher) else { return try floatTensors(root) }
      let tensors = try root.readGroup(Place.teacher, body: floatTensors)
      guard !tensors.isEmpty else {
        throw Failure(
          .badData, "\(path): the checkpoint holds no teacher, only the hash of one",
          hint: "give the file of weights that the run was started with")
      }
      return tensors
    }
    guard !tensors.isEmpty else {
      throw Failure(
        .badData, "\(path): no floating-point dataset at the root of the file",
        hint: "store each tensor as a dataset under its torchvision name, such as conv1.weight")
    }
    return try TensorTable(tensors, source: path)
  }

  /// Counters such as `num_batches_tracked` are left out.
  private static func floatTensors(_ group: HDF5Group) throws -> [NamedTensor] {
    try group.names().compactMap { name in
      try group.floats(name).map { NamedTensor(name: name, shape: $0.shape, values: $0.values) }
    }
  }
}
