import Diagnostics

/// Files of network weights as Python programs leave them. No Python is needed to read them, and nothing in them is executed.
public enum TensorFile {
  /// What a file is, by its content; its name plays no part.
  public enum Format: Sendable {
    case safetensors
    /// torch.save's format since PyTorch 1.6.
    case torchZip
    /// torch.save's format before, still written with `_use_new_zipfile_serialization=False`.
    case torchLegacy
    /// Recognised here, read by the Checkpoints module.
    case hdf5
  }

  /// Tells a file's format from its first bytes.
  /// - Throws: ``Failure`` with code `badData` where the file is absent or of no known format, `inputOutput` where it cannot be read.
  public static func format(of path: String) throws -> Format {
    try FileBytes.map(path) { try format(of: $0) }
  }

  /// Reads all tensors of a `.safetensors` file or of a state dict that torch.save wrote, as `Float`s.
  ///
  /// The state dict is the saved object itself, or lies in it as `state_dict`; of a dict of state dicts such as
  /// `{"bn": …, "decoder": …}`, each tensor's name has the dict's key in front (`bn.conv1.weight`). Entries that are numbers, strings or
  /// None are left out, and so is a prefix `module.` that all names of a dict share. Number types are `float64` to `bfloat16`,
  /// integers and bool; what a `Float` cannot represent is rounded.
  /// - Throws: ``Failure`` with code `badData` where the file is absent, damaged, of another format (HDF5 among them) or would have to
  ///   execute something; `inputOutput` where it cannot be read.
  public static func read(path: String) throws -> TensorTable {
    try FileBytes.map(path) { try read($0) }
  }

  static func read(_ file: FileBytes) throws -> TensorTable {
    let tensors =
      switch try format(of: file) {
      case .safetensors: withoutDataParallelPrefix(try Safetensors.read(file))
      case .torchZip: try TorchFile.readZip(file)
      case .torchLegacy: try TorchFile.readLegacy(file)
      case .hdf5: throw file.failure("an HDF5 file, where .safetensors or a file of torch.save is expected")
      }
    return try TensorTable(tensors, source: file.path)
  }

  private static func format(of file: FileBytes) throws -> Format {
    if file.starts(with: "\u{89}HDF\r\n\u{1A}\n".unicodeScalars.map { UInt8($0.value) }) { return .hdf5 }
    if file.starts(with: "PK\u{3}\u{4}".utf8) { return .torchZip }
    if TorchFile.recognisesLegacy(file) { return .torchLegacy }
    if Safetensors.recognises(file) { return .safetensors }

    if file.count == 0 { throw file.failure("the file is empty", hint: "the download failed: fetch it again") }
    if file.starts(with: "<".utf8) {
      throw file.failure("not a file of weights", hint: "an HTML page: the download failed, fetch it again")
    }
    if file.starts(with: "version https://git-lfs".utf8) {
      throw file.failure("not a file of weights", hint: "a Git LFS pointer: fetch the file itself with `git lfs pull`")
    }
    if file.starts(with: [0x80]) {
      throw file.failure(
        "a pickle that torch.save did not write", hint: "save it with torch.save(model.state_dict(), …)")
    }
    throw file.failure(
      "not a file of weights", hint: "the formats read are .safetensors and those of torch.save (.pth, .pt)")
  }
}
