import Diagnostics
import Foundation

/// What the last failed system call says.
func systemReason() -> String { String(cString: strerror(errno)) }

/// All bytes of a regular file.
/// - Throws: `Failure` of `.badData` where there is no such file, of `.inputOutput` where it cannot be read.
public func readFile(_ path: String) throws -> [UInt8] {
  let file = try OpenFile(reading: path)
  let size = try file.size()
  return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
    count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<size]))
  }
}

/// Writes a file under a temporary name and renames it: readers see all of it or nothing.
/// - Throws: `Failure` of `.inputOutput`.
public func writeFile(_ path: String, bytes: [UInt8]) throws {
  try writeFile(path) { file in try bytes.withUnsafeBytes { try file.write($0) } }
}

/// Lets `fill` write a file under a temporary name and renames it: readers see all of it or nothing.
/// - Throws: `Failure` of `.inputOutput`, or what `fill` throws.
public func writeFile(_ path: String, fill: (borrowing OpenFile) throws -> Void) throws {
  let temporary = path + ".partial"
  try create(temporary, called: path, fill: fill)
  guard rename(temporary, path) == 0 else {
    let cause = writeFailure(path)
    unlink(temporary)
    throw cause
  }
}

/// Lets `fill` write a file under its own name: a reader may see a part of it. Where that fails, no file is left.
/// - Throws: `Failure` of `.inputOutput`, or what `fill` throws.
public func createFile(_ path: String, fill: (borrowing OpenFile) throws -> Void) throws {
  try create(path, called: path, fill: fill)
}

private func create(_ path: String, called name: String, fill: (borrowing OpenFile) throws -> Void) throws {
  var file = try OpenFile(creating: path, called: name)
  do {
    try fill(file)
    try file.close()
  } catch {
    unlink(path)
    throw error
  }
}

func writeFailure(_ path: String) -> Failure {
  Failure(.inputOutput, "\(path): cannot be written: \(systemReason())")
}

/// Makes the content of a file survive a loss of power. Its name does so after `syncFolder` only.
/// - Throws: `Failure` of `.inputOutput`.
public func syncFile(_ path: String) throws {
  try sync(path, flags: O_RDONLY | O_CLOEXEC)
}

/// Makes the names in a folder survive a loss of power.
/// - Throws: `Failure` of `.inputOutput`.
public func syncFolder(_ path: String) throws {
  try sync(path, flags: O_RDONLY | O_DIRECTORY | O_CLOEXEC)
}

private func sync(_ path: String, flags: Int32) throws {
  func failure() -> Failure { Failure(.inputOutput, "\(path): cannot be made durable: \(systemReason())") }
  let file = open(path, flags)
  guard file >= 0 else { throw failure() }
  defer { close(file) }
  while fsync(file) != 0 {
    if errno == EINTR { continue }
    // Some network file systems have no fsync of folders: there is nothing more to do than they do by themselves.
    if errno == EINVAL && flags & O_DIRECTORY != 0 { return }
    throw failure()
  }
}

/// Gives a file another name, in one step; a file that has it already is replaced.
/// - Throws: `Failure` of `.inputOutput`.
public func renameFile(_ path: String, to newPath: String) throws {
  guard rename(path, newPath) == 0 else {
    throw Failure(.inputOutput, "\(path): cannot be renamed to \(newPath): \(systemReason())")
  }
}

/// - Throws: `Failure` of `.inputOutput`, also where there is no such file.
public func removeFile(_ path: String) throws {
  guard unlink(path) == 0 else { throw Failure(.inputOutput, "\(path): cannot be removed: \(systemReason())") }
}

/// The folder that a path lies in.
public func folder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// Makes a folder and those above it.
/// - Throws: `Failure` of `.inputOutput`.
public func makeFolder(_ path: String) throws {
  if isFolder(path) { return }
  let above = path.split(separator: "/", omittingEmptySubsequences: true).dropLast().joined(separator: "/")
  if !above.isEmpty { try makeFolder(path.hasPrefix("/") ? "/" + above : above) }
  guard mkdir(path, 0o755) != 0 else { return }
  let failure = Failure(.inputOutput, "\(path): cannot be made: \(systemReason())")
  // Another rank may have been faster; a file of that name is another matter.
  guard isFolder(path) else { throw failure }
}

/// Makes a folder with all that belongs in it, which is there whole or not at all.
/// - Parameter fill: is given the empty folder under another name.
/// - Throws: `Failure` of `.usage` where the folder is there and not empty, of `.inputOutput`, and what `fill` throws.
public func writeFolder(_ path: String, fill: (_ path: String) throws -> Void) throws {
  let path = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
  if isFolder(path), try !namesInFolder(path).isEmpty {
    throw Failure(.usage, "\(path): the folder is not empty", hint: "choose another one, or empty it")
  }
  let temporary = path + ".partial"
  // What an earlier attempt left.
  try? FileManager.default.removeItem(atPath: temporary)
  try makeFolder(temporary)
  do {
    try fill(temporary)
  } catch {
    try? FileManager.default.removeItem(atPath: temporary)
    throw error
  }
  try renameFile(temporary, to: path)
}

public func isFolder(_ path: String) -> Bool {
  var status = stat()
  return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// Whether the name is that of a symbolic link, wherever it leads.
public func isSymbolicLink(_ path: String) -> Bool {
  var status = stat()
  return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
}

/// Whether the name leads to a regular file.
public func isFile(_ path: String) -> Bool { fileSize(path) != nil }

/// Whether two paths lead to the same file or folder, by whatever way; not where one leads nowhere.
public func isSameFile(_ first: String, _ second: String) -> Bool {
  var (one, other) = (stat(), stat())
  return stat(first, &one) == 0 && stat(second, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino
}

/// The size of a regular file in bytes, nil where the name leads to something else or nowhere.
public func fileSize(_ path: String) -> Int? {
  var status = stat()
  guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
  return Int(status.st_size)
}

/// The names in a folder, hidden ones left out, in the order of their bytes.
/// - Parameter unusable: is given names that are not UTF-8, nearly as they are, and may throw what it is given.
/// - Throws: `Failure` of `.badData` where there is no such folder or a name in it is not UTF-8,
///   of `.inputOutput` where it cannot be read.
public func namesInFolder(
  _ path: String, unusable: (_ name: String, Failure) throws -> Void = { throw $1 }
) throws -> [String] {
  guard let folder = opendir(path) else {
    let code: ExitCode = errno == ENOENT || errno == ENOTDIR ? .badData : .inputOutput
    throw Failure(code, "\(path): \(errno == ENOENT ? "no such folder" : systemReason())")
  }
  defer { closedir(folder) }
  var names: [String] = []
  while true {
    errno = 0
    guard let entry = readdir(folder) else { break }
    let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
    if bytes.first == UInt8(ascii: ".") { continue }
    guard let name = String(validating: bytes, as: UTF8.self) else {
      let name = String(decoding: bytes, as: UTF8.self)
      try unusable(
        name, Failure(.badData, "\(path): the name \"\(name)\" in this folder is not UTF-8", hint: "rename it"))
      continue
    }
    names.append(name)
  }
  guard errno == 0 else { throw Failure(.inputOutput, "\(path): \(systemReason())") }
  return names.sorted(by: precedesInBytes)
}

/// The order of C's strcmp, the same in every locale and on every host (Swift's own order of strings is Unicode's).
public func precedesInBytes(_ first: String, _ second: String) -> Bool {
  first.utf8.lexicographicallyPrecedes(second.utf8)
}
