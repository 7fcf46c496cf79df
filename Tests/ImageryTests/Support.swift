import Diagnostics
import Foundation
import Testing

@testable import Imagery

/// Made by scripts/fixtures/imagery.py.
let fixtures = Bundle.module.bundleURL.appending(path: "Fixtures").path

func bytes(of path: String) throws -> [UInt8] {
  try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Runs `body` with the path of an empty folder that is removed afterwards.
func withTemporaryFolder(_ body: (String) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "imagery-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  try body(folder.path)
}

/// Writes files of these contents under a folder, folders included.
func lay(_ files: [String: [UInt8]], in folder: String) throws {
  for (name, content) in files {
    let path = "\(folder)/\(name)"
    let above = (path as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: above, withIntermediateDirectories: true)
    try Data(content).write(to: URL(fileURLWithPath: path))
  }
}

/// The failure that `body` must throw.
func failure(_ body: () throws -> some Any, at location: SourceLocation = #_sourceLocation) -> Failure? {
  do {
    _ = try body()
    Issue.record("nothing was thrown", sourceLocation: location)
  } catch {
    guard let failure = error as? Failure else {
      Issue.record("unexpected error \(error)", sourceLocation: location)
      return nil
    }
    return failure
  }
  return nil
}
