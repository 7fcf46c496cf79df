import Diagnostics
import FileSystem
import TensorFiles

/// A checkpoint that is open for reading: its record is read at once, a tensor when its values are asked for.
public final class CheckpointFile: Sendable {
  private let file: OpenFile
  public let record: CheckpointRecord
  /// Names and shapes of the tensors, in the order of the names' bytes.
  private let contents: [CheckpointPart: [(name: String, shape: [Int])]]

  /// Reads everything but the tensors' values.
  /// - Throws: ``Failure`` with code `badData` that says what is wrong with the file, `inputOutput` where it cannot be
  ///   read.
  public init(_ file: consuming OpenFile) throws {
    (record, contents) = try HDF5File.read(file) { root in
      try root.requireCheckpoint()
      let record = try root.record()
      let contents = try CheckpointPart.allCases.map { part in
        (part, try root.read(part) { group in try group.names().map { ($0, try group.shape($0)) } })
      }
      return (record, Dictionary(uniqueKeysWithValues: contents))
    }
    self.file = file
    if let inconsistency = inconsistency(record, { self[$0].tensors }) {
      throw Failure(.badData, "\(self.file.path): \(inconsistency)")
    }
  }

  /// Opens the checkpoint at `path`.
  /// - Throws: ``Failure`` with code `badData` where it is absent or wrong, `inputOutput` where it cannot be read.
  public convenience init(path: String) throws { try self.init(OpenFile(reading: path)) }

  /// The tensors of a part.
  ///
  /// Asked for its values, a tensor throws ``Failure`` with code `badData` where they are damaged, `inputOutput` where
  /// they cannot be read.
  public subscript(part: CheckpointPart) -> LazyTensors {
    LazyTensors(
      contents[part, default: []].map { name, shape in
        LazyTensor(name: name, shape: shape) { [self] in
          try HDF5File.read(file) { root in try root.read(part) { try $0.numbers(name, as: Float.self).values } }
        }
      }, source: file.path)
  }

  /// Reads through all tensors of some parts, whose checksums tell whether they are whole.
  /// - Throws: ``Failure`` with code `badData` where they are not, `inputOutput` where they cannot be read.
  public func verify(_ parts: [CheckpointPart] = CheckpointPart.allCases) throws {
    for part in parts { for tensor in self[part].tensors { _ = try tensor.values() } }
  }

  /// The SHA-256 of the file, as 64 hexadecimal digits.
  /// - Throws: ``Failure`` with code `inputOutput`.
  public func sha256() throws -> String { try file.sha256() }

  /// Writes the same bytes to another file, which is empty.
  /// - Throws: ``Failure`` with code `inputOutput`.
  func copy(to other: borrowing OpenFile) throws { try file.copy(to: other) }
}
