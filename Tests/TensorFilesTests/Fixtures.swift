import Diagnostics
import Foundation
import Testing

@testable import TensorFiles

/// The files that scripts/fixtures/tensor_files.py makes.
enum Fixtures {
  static var folder: URL { Bundle.module.resourceURL!.appending(path: "Fixtures") }

  static func path(_ name: String) -> String { folder.appending(path: name).path }

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appending(path: name)))
  }

  static var all: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
  }

  /// The numerators of tensor `name`'s values, by the generator's formula.
  static func numerators(_ name: String, count: Int) -> [Int] {
    let seed = name.utf8.reduce(0) { $0 + Int($1) }
    return (0..<count).map { (37 * $0 + 11 * seed) % 251 }
  }

  static func values(_ name: String, count: Int) -> [Float] {
    numerators(name, count: count).map { Float($0 - 125) / 8 }
  }
}

func read(_ bytes: [UInt8]) throws -> TensorTable {
  try bytes.withUnsafeBytes { try TensorFile.read(FileBytes(path: "bytes", bytes: $0)) }
}

/// What went wrong, code, message and hint together; nil where nothing did. An error of another type fails the test.
func failure<Result>(_ body: () throws -> Result) -> Failure? {
  do {
    _ = try body()
    return nil
  } catch let failure as Failure {
    return failure
  } catch {
    Issue.record("not a Failure: \(error)")
    return nil
  }
}
