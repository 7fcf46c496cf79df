import CHDF5
import Diagnostics
import FileSystem
import Glibc
import Synchronization
import TensorFiles

/// HDF5 as Debian builds it is not made for threads: one call at a time.
private let library = Mutex(())

/// Runs `body` with HDF5 to itself. Not to be nested.
func withHDF5<Result: Sendable>(_ body: () throws -> Result) throws -> Result {
  try library.withLock { _ in
    CHDF5_silenceErrors()
    return try body()
  }
}

/// What HDF5 says of the call that has just failed.
func hdf5Reason() -> String {
  let reason = withUnsafeBytes(of: CHDF5_lastReason().text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  // Of a failed system call it gives the time and an address too.
  if let words = reason.firstMatch(of: /error message = '([^']*)'/) { return String(words.1) }
  return reason.isEmpty ? "HDF5 gives no reason" : reason
}

/// A number type of a dataset: little-endian in every file, this machine's in memory.
protocol HDF5Number: BitwiseCopyable, Sendable {
  static var stored: hid_t { get }
  static var inMemory: hid_t { get }
}

extension Float: HDF5Number {
  static var stored: hid_t { CHDF5_F32LE() }
  static var inMemory: hid_t { CHDF5_nativeFloat() }
}

extension Double: HDF5Number {
  static var stored: hid_t { CHDF5_F64LE() }
  static var inMemory: hid_t { CHDF5_nativeDouble() }
}

extension Int32: HDF5Number {
  static var stored: hid_t { CHDF5_I32LE() }
  static var inMemory: hid_t { CHDF5_nativeInt32() }
}

extension Int64: HDF5Number {
  static var stored: hid_t { CHDF5_I64LE() }
  static var inMemory: hid_t { CHDF5_nativeInt64() }
}

/// An open group of an HDF5 file, to write into or to read from.
struct HDF5Group {
  let id: hid_t
  /// The file, as error messages name it.
  let source: String
  /// The group's place in the file: empty for the root.
  let path: String
  /// The code of failures that are HDF5's: the data's fault in reading, the program's in writing.
  let code: ExitCode
  /// How many bytes the datasets of the file may expand to: a damaged size is not to exhaust the memory.
  let limit: Int
  let target: UnsafeMutablePointer<CHDF5_Target>

  func failure(_ name: String?, _ problem: String) -> Failure {
    let place = name.map { "\(path)/\($0)" } ?? (path.isEmpty ? "/" : path)
    return Failure(code, "\(source): \(place) \(problem)")
  }

  /// The result of an HDF5 call; its negative ones are failures, and so is every error of the system.
  @discardableResult
  func check<Status: SignedInteger>(_ status: Status, _ name: String?, _ problem: String) throws -> Status {
    guard target.pointee.error == 0 else {
      let what = code == .badData ? "read" : "written"
      throw Failure(.inputOutput, "\(source): cannot be \(what): \(String(cString: strerror(target.pointee.error)))")
    }
    guard status >= 0 else { throw failure(name, "\(problem): \(hdf5Reason())") }
    return status
  }

  func with(_ child: hid_t, _ name: String) -> HDF5Group {
    HDF5Group(id: child, source: source, path: "\(path)/\(name)", code: code, limit: limit, target: target)
  }
}
