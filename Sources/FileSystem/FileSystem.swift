import Diagnostics
import Glibc

/// What the last failed system call says.
private func systemReason() -> String { String(cString: strerror(errno)) }

/// All bytes of a regular file.
/// - Throws: `Failure` of `.badData` where there is no such file, of `.inputOutput` where it cannot be read.
public func readFile(_ path: String) throws -> [UInt8] {
  // Non-blocking, so that a pipe in the folder cannot hold the program up before it is seen to be one.
  let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
  guard file >= 0 else {
    throw Failure(errno == ENOENT ? .badData : .inputOutput, "\(path): \(systemReason())")
  }
  defer { close(file) }
  var status = stat()
  guard fstat(file, &status) == 0 else { throw Failure(.inputOutput, "\(path): \(systemReason())") }
  guard status.st_mode & S_IFMT == S_IFREG else { throw Failure(.badData, "\(path): not a file") }

  let size = Int(status.st_size)
  var readError: Failure?
  let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
    while count < size {
      let step = read(file, buffer.baseAddress.map { $0 + count }, size - count)
      if step < 0 && errno == EINTR { continue }
      if step < 0 { readError = Failure(.inputOutput, "\(path): \(systemReason())") }
      if step <= 0 { break }
      count += step
    }
  }
  if let readError { throw readError }
  return bytes
}

/// Writes a file under a temporary name and renames it: readers see all of it or nothing.
/// - Throws: `Failure` of `.inputOutput`.
public func writeFile(_ path: String, bytes: [UInt8]) throws {
  let temporary = path + ".partial"
  func failure() -> Failure { Failure(.inputOutput, "\(path): cannot be written: \(systemReason())") }
  let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
  guard file >= 0 else { throw failure() }
  var written = 0
  while written < bytes.count {
    let step = bytes.withUnsafeBytes { write(file, $0.baseAddress.map { $0 + written }, $0.count - written) }
    if step < 0 && errno == EINTR { continue }
    guard step > 0 else {
      let cause = failure()
      close(file)
      unlink(temporary)
      throw cause
    }
    written += step
  }
  // Some file systems report a full disk only here.
  guard close(file) == 0, rename(temporary, path) == 0 else {
    let cause = failure()
    unlink(temporary)
    throw cause
  }
}

/// Makes a folder and those above it.
/// - Throws: `Failure` of `.inputOutput`.
public func makeFolder(_ path: String) throws {
  if isFolder(path) { return }
  let above = path.split(separator: "/", omittingEmptySubsequences: true).dropLast().joined(separator: "/")
  if !above.isEmpty { try makeFolder(path.hasPrefix("/") ? "/" + above : above) }
  guard mkdir(path, 0o755) == 0 || errno == EEXIST else {
    throw Failure(.inputOutput, "\(path): cannot be made: \(systemReason())")
  }
}

public func isFolder(_ path: String) -> Bool {
  var status = stat()
  return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// The size of a regular file in bytes, nil where the name leads to something else or nowhere.
public func fileSize(_ path: String) -> Int? {
  var status = stat()
  guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
  return Int(status.st_size)
}

/// The names in a folder, hidden ones left out, in the order of their bytes.
/// - Throws: `Failure` of `.badData` where there is no such folder or a name in it is not UTF-8,
///   of `.inputOutput` where it cannot be read.
public func namesInFolder(_ path: String) throws -> [String] {
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
      throw Failure(
        .badData, "\(path): the name \"\(String(decoding: bytes, as: UTF8.self))\" in this folder is not UTF-8",
        hint: "rename it")
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
