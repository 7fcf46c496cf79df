import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// What the tools ask of the system, as strace sees it.
  @Suite(.enabled(if: canTrace, "strace must be installed, and allowed to trace")) struct Privileges {
    /// The calls of a run that concern processes, the network and names of files.
    private static func calls(_ tool: String, _ arguments: [String], ranks: Int? = nil) throws -> [String] {
      let folder = try TemporaryFolder()
      let outcome = try ToolProcess.run(
        tool, arguments, ranks: ranks,
        shell:
          "umask 022; exec strace -f -qq -s 4096 -e trace=%process,%network,%file,fchmod -o '\(folder("log"))' \"$@\"")
      try #require(outcome.code == 0, "\(outcome.errors)")
      // Each line begins with a thread's number. A call that another thread interrupts has its arguments in the first of its two lines.
      return try String(contentsOfFile: folder("log"), encoding: .utf8).split(separator: "\n").map { line in
        String(line.drop { $0.isNumber || $0 == " " })
      }
    }

    /// Whether a call makes or changes something that has a name.
    private static func isChange(_ call: String) -> Bool {
      let name = call.prefix { $0 != "(" }
      if name.hasPrefix("open") { return ["O_CREAT", "O_WRONLY", "O_RDWR"].contains { call.contains($0) } }
      return [
        "creat", "mkdir", "mknod", "rename", "link", "symlink", "unlink", "rmdir", "chmod", "chown", "truncate",
        "utime",
      ]
      .contains { name.hasPrefix($0) || name.dropFirst().hasPrefix($0) }
    }

    /// - Parameter folders: beginnings of the paths that may be changed.
    private static func expectNoOtherProgram(
      in calls: [String], andChangesIn folders: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) {
      let programs = calls.filter { $0.hasPrefix("execve") }
      #expect(programs.count == 1, "\(programs)", sourceLocation: sourceLocation)
      let processes = calls.filter { call in
        ["fork", "vfork", "clone"].contains { call.hasPrefix($0) } && !call.contains("CLONE_THREAD")
      }
      #expect(processes.isEmpty, "\(processes)", sourceLocation: sourceLocation)
      let changes = calls.filter(isChange)
      #expect(changes.count > 3, sourceLocation: sourceLocation)
      let outside = changes.filter { call in
        let parts = call.split(separator: "\"", omittingEmptySubsequences: false)
        let paths = parts.indices.filter { $0 % 2 == 1 }.map { parts[$0] }
        // To make the folders above, and to open what is nothing, is no change.
        return !paths.allSatisfy { path in
          path == "/dev/null" || folders.contains { path.hasPrefix($0) || $0.hasPrefix(path) }
        }
      }
      #expect(outside.isEmpty, "\(outside)", sourceLocation: sourceLocation)
    }

    @Test func withoutMPITheToolsKnowNoNetworkAndNoOtherFolder() throws {
      let (folder, run, data) = (try TemporaryFolder(), try Workplace.standard().path, try Workplace.data())
      let training = [
        "--max-steps", "2", "--evaluate-every", "1 steps", "--validation-fraction", "0.3", "--evaluation-data", data,
      ]
      for (number, (tool, arguments)) in [
        ("rd-train", try Workplace.standardOptions() + training),
        ("rd-eval", [run, "--data", data, "--category", "surface"]),
        ("rd-eval", ["predict", run, "\(data)/surface/test"]),
      ].enumerated() {
        let output = folder("\(number)")
        let calls = try Self.calls(tool, arguments + ["--output", output])
        Self.expectNoOtherProgram(in: calls, andChangesIn: [output])
        // What strace calls the network: sockets, and what is done with them.
        let network = calls.filter { call in
          ["socket", "bind", "listen", "connect", "accept", "send", "recv"].contains { call.hasPrefix($0) }
        }
        #expect(network.isEmpty, "\(network)")
        try expectModes(in: output, file: 0o644, folder: 0o755)
        Thoroughness.report("\(tool): \(calls.count) calls; one program, no network, nothing outside its output")
      }
    }

    /// Open MPI has its sockets, a folder for the session and shared memory.
    @Test func underMpirunTheyKnowNoOtherFolderEither() throws {
      let folder = try TemporaryFolder()
      let calls = try Self.calls(
        "rd-train", try Workplace.standardOptions() + ["--max-steps", "1", "--output", folder("run")], ranks: 1)
      Self.expectNoOtherProgram(
        in: calls,
        andChangesIn: [
          folder("run"), FileManager.default.temporaryDirectory.path + "/ompi.", "/dev/shm/open_mpi.",
          "/dev/shm/vader_segment.", "/dev/shm/sm_segment.",
        ])
    }
  }
}

private let canTrace =
  (try? ToolProcess.run("rd-train", ["--version"], shell: "exec strace -o /dev/null \"$@\""))?.code == 0
