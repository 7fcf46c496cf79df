import FileSystem

/// The file operations that checkpoints are kept with, in one flat folder.
public protocol CheckpointStorage: Sendable {
  /// Where this is, as error messages name it.
  var location: String { get }
  /// Makes or overwrites a file, with what `fill` writes into it.
  func write(_ name: String, fill: (borrowing OpenFile) throws -> Void) throws
  /// Makes a file's content durable.
  func sync(_ name: String) throws
  /// Gives a file another name in one step, in place of the file that has it.
  func rename(_ name: String, to newName: String) throws
  /// Makes the names durable.
  func syncFolder() throws
  func names() throws -> [String]
  /// Opens a file for reading.
  func open(_ name: String) throws -> OpenFile
  func remove(_ name: String) throws
}

/// A folder on disk, which exists.
public struct FolderStorage: CheckpointStorage {
  private let path: String

  public init(_ path: String) { self.path = path }

  public var location: String { path }
  public func write(_ name: String, fill: (borrowing OpenFile) throws -> Void) throws {
    try createFile(place(name), fill: fill)
  }
  public func sync(_ name: String) throws { try syncFile(place(name)) }
  public func rename(_ name: String, to newName: String) throws { try renameFile(place(name), to: place(newName)) }
  public func syncFolder() throws { try FileSystem.syncFolder(path) }
  public func names() throws -> [String] { try namesInFolder(path) }
  public func open(_ name: String) throws -> OpenFile { try OpenFile(reading: place(name)) }
  public func remove(_ name: String) throws { try removeFile(place(name)) }

  private func place(_ name: String) -> String { "\(path)/\(name)" }
}
