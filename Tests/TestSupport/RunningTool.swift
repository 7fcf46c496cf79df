import Foundation

/// A tool that runs as a process of its own or as the ranks of an mpirun job.
public final class RunningTool {
  private let command: [String]
  private let seconds: Int
  private let process = Process()
  private let files: TemporaryFolder
  private let start = ContinuousClock.now
  private var errorFile: URL { files.url.appendingPathComponent("err") }

  /// - Throws: where it cannot be started.
  init(_ command: [String], in folder: URL?, environment: [String: String], seconds: Int) throws {
    self.command = command
    self.seconds = seconds
    files = try TemporaryFolder()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // timeout ends mpirun, which then ends its ranks.
    process.arguments = ["timeout", "--kill-after=10", "\(seconds)"] + command
    process.currentDirectoryURL = folder ?? files.url
    let outside = ProcessInfo.processInfo.environment.filter { name, _ in
      !["OMPI_", "PMIX_", "PMI_", "SLURM_"].contains { name.hasPrefix($0) }
    }
    let root = ["OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"]
    process.environment = outside.merging(root) { $1 }.merging(environment) { $1 }
    // Files, and not pipes: nobody needs to empty them while the process runs.
    for name in ["out", "err"] { try Data().write(to: files.url.appendingPathComponent(name)) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: files.url.appendingPathComponent("out"))
    process.standardError = try FileHandle(forWritingTo: errorFile)
    // Tests run on threads that block signals, and processes inherit that.
    var (none, blocked) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &blocked)
    defer { pthread_sigmask(SIG_SETMASK, &blocked, nil) }
    try process.run()
  }

  /// Waits for its end.
  /// - Throws: `Trouble` where it does not end by itself in its time.
  public func wait() throws -> ToolProcess.Outcome {
    process.waitUntilExit()
    let outcome = ToolProcess.Outcome(
      code: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
      output: String(decoding: try Data(contentsOf: files.url.appendingPathComponent("out")), as: UTF8.self),
      errors: try errors)
    // A job of which a rank was killed ends as one does that timeout kills.
    guard ContinuousClock.now - start < .seconds(seconds) else {
      throw ToolProcess.Trouble(
        description: "\(command.joined(separator: " ")): did not end within \(seconds) s\n\(outcome.errors)")
    }
    return outcome
  }

  /// Waits until it has said this as an error, so many times.
  /// - Throws: `Trouble` where it ends before.
  public func waits(toSay text: String, times: Int = 1) throws {
    while count(of: text) < times {
      guard process.isRunning else { throw ToolProcess.Trouble(description: "never said \(text)\n\(try errors)") }
      usleep(20_000)
    }
  }

  /// How often it has said a text as an error, so far.
  public func count(of text: String) -> Int { ((try? errors) ?? "").components(separatedBy: text).count - 1 }

  /// The tool's own process, or mpirun's.
  public func processIdentifier() throws -> pid_t {
    guard let own = Self.children(of: process.processIdentifier).first else {
      throw ToolProcess.Trouble(description: "\(command.joined(separator: " ")): has no process")
    }
    return own
  }

  /// The process of a rank that mpirun started.
  public func processIdentifier(ofRank rank: Int) throws -> pid_t {
    let wanted = Data("OMPI_COMM_WORLD_RANK=\(rank)".utf8)
    let found = Self.children(of: try processIdentifier()).first { child in
      let environment = try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(child)/environ"))
      return environment?.split(separator: 0).contains(wanted) == true
    }
    guard let found else { throw ToolProcess.Trouble(description: "rank \(rank) has no process") }
    return found
  }

  private var errors: String {
    get throws { String(decoding: try Data(contentsOf: errorFile), as: UTF8.self) }
  }

  private static func children(of process: pid_t) -> [pid_t] {
    let path = "/proc/\(process)/task/\(process)/children"
    return (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: " ").compactMap { pid_t($0) } ?? []
  }
}
