import Collectives
import Diagnostics
import Foundation
import Jobs
import TestSupport
import Testing

@Suite struct HostComparisonTests {
  /// What ranks throw whose hosts have each a folder of their own.
  private func failures(
    hosts: [String], files: Int, _ change: (_ folder: (_ host: String) -> String) throws -> Void
  ) throws -> [Failure?] {
    let folder = try TemporaryFolder()
    for host in Set(hosts) {
      try FileManager.default.createDirectory(atPath: folder(host), withIntermediateDirectories: true)
      for file in 0..<files {
        try Data("picture \(file)".utf8).write(to: folder.url.appending(path: "\(host)/\(file)"))
      }
    }
    try change { folder($0) }
    return try LocalCommunicator.run(size: hosts.count) { communicator in
      let host = hosts[communicator.rank]
      do {
        try communicator.compareContents(
          of: (0..<files).map { (name: "good/\($0)", path: folder("\(host)/\($0)")) }, hosts: hosts)
        return nil
      } catch {
        return error as? Failure
      }
    }
  }

  @Test(arguments: [0, 1, 5, 600])
  func equalFilesPass(files: Int) throws {
    #expect(try failures(hosts: ["a", "b", "b", "a", "b"], files: files) { _ in }.allSatisfy { $0 == nil })
  }

  @Test(arguments: [1, 7, 600], [["a", "b"], ["a", "a", "c", "b", "b", "b"]])
  func theFirstDifferentFileIsNamed(files: Int, hosts: [String]) throws {
    let first = files * 2 / 3
    let failures = try failures(hosts: hosts, files: files) { folder in
      for file in [first, files - 1] {
        try Data("Picture \(file)".utf8).write(to: URL(fileURLWithPath: "\(folder("b"))/\(file)"))
      }
    }
    #expect(failures.count == hosts.count)
    for failure in failures {
      #expect(failure?.code == .badData && failure?.isOnAllRanks == true)
      let others = hosts.contains("c") ? "a, c" : "a"
      #expect(
        failure?.message == """
          the hosts differ in the content of good/\(first) (SHA-256)
            \(SHA256.hexDigest(of: "picture \(first)".utf8)): \(others)
            \(SHA256.hexDigest(of: "Picture \(first)".utf8)): b
          """)
    }
  }

  @Test func aFileThatCannotBeReadEndsTheComparisonOnAll() throws {
    let failures = try failures(hosts: ["a", "b"], files: 3) { folder in
      try FileManager.default.removeItem(atPath: "\(folder("b"))/1")
    }
    #expect(failures.allSatisfy { $0?.message.contains("b/1: ") == true })
  }

  /// It has read nothing.
  @Test func oneHostHasNothingToCompare() throws {
    let failures = try failures(hosts: ["a", "a"], files: 1) { folder in
      try FileManager.default.removeItem(atPath: folder("a"))
    }
    #expect(failures.allSatisfy { $0 == nil })
  }
}
