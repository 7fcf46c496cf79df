import Checkpoints
import Diagnostics
import Distillation
import TensorFiles

extension TeacherWeights {
  /// Reads what `--teacher` names: a file of torch.save, of safetensors, an HDF5 file of our own, or `random:SEED`.
  /// - Throws: `Failure(.badData)` where the file is absent, damaged or of another architecture; `.inputOutput` where it cannot be read.
  public init(source: String, for architecture: Architecture) throws {
    if let seed = Self.randomSeed(of: source) {
      try self.init(randomWithSeed: seed, for: architecture)
    } else if try TensorFile.format(of: source) == .hdf5 {
      try self.init(HDF5TensorFile.read(path: source), for: architecture)
    } else {
      try self.init(TensorFile.read(path: source), for: architecture)
    }
  }
}
