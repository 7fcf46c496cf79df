import Foundation
import Synchronization

/// A built tool or another command, run as a process of its own or as the ranks of an mpirun job.
public enum ToolProcess {
  /// How a process ended.
  public struct Outcome: Sendable {
    /// The exit status; below 0 the signal that ended it.
    public let code: Int32
    public let output: String
    public let errors: String

    /// How often a text stands in what was said as an error.
    public func count(of text: String) -> Int { errors.components(separatedBy: text).count - 1 }
  }

  /// A process that could not be started or did not end.
  public struct Trouble: Error, CustomStringConvertible {
    public let description: String

    public init(description: String) { self.description = description }
  }

  /// Whether mpirun is there.
  public static let hasMPI = path(of: "mpirun") != nil

  /// Runs a tool that was built beside the tests.
  /// - Parameters:
  ///   - ranks: how many mpirun starts; without a number, the tool is run by itself.
  ///   - folder: the current folder of the process.
  ///   - environment: what is added to an environment that no launcher has touched.
  ///   - shell: what a shell does before it becomes the tool: `ulimit -f 100` lets files grow to 100 KiB only.
  ///   - seconds: after that long it is killed, with all its ranks.
  /// - Throws: `Trouble` where it does not end by itself in that time.
  public static func run(
    _ tool: String, _ arguments: [String] = [], ranks: Int? = nil, in folder: URL? = nil,
    environment: [String: String] = [:], shell: String? = nil, seconds: Int = 180
  ) throws -> Outcome {
    try start(
      tool, arguments, ranks: ranks, in: folder, environment: environment, shell: shell, seconds: seconds
    ).wait()
  }

  /// Starts what ``run(_:_:ranks:in:environment:shell:seconds:)`` runs, and does not wait for it.
  public static func start(
    _ tool: String, _ arguments: [String] = [], ranks: Int? = nil, in folder: URL? = nil,
    environment: [String: String] = [:], shell: String? = nil, seconds: Int = 180
  ) throws -> RunningTool {
    let launcher = ranks.map { ["mpirun", "--oversubscribe", "-n", "\($0)"] } ?? []
    let shell = shell.map { ["bash", "-c", "\($0); exec \"$@\"", "bash"] } ?? []
    return try RunningTool(
      launcher + shell + [builtTool(tool)] + arguments, in: folder, environment: environment, seconds: seconds)
  }

  /// The path of a tool that was built beside the tests.
  public static func builtTool(_ name: String) throws -> String {
    let folders = [
      URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent(), Bundle.main.bundleURL,
      URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent(),
    ]
    let candidates = folders.map { $0.appendingPathComponent(name).path }
    guard let path = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
      throw Trouble(description: "no \(name) beside the tests: \(candidates)")
    }
    return path
  }

  private static func path(of command: String) -> String? {
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(command)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }
}

/// A new folder, which is removed with its content when the last reference to it goes, or the process ends: globals are never released.
public final class TemporaryFolder: Sendable {
  private static let present = Mutex<Set<URL>>([])
  private static let areRemovedAtTheEnd =
    atexit {
      for folder in TemporaryFolder.present.withLock({ $0 }) { try? FileManager.default.removeItem(at: folder) }
    } == 0

  public let url: URL
  public var path: String { url.path }

  /// - Parameter name: its beginning; with a space, so that paths with spaces are tested throughout.
  public init(_ name: String = "rd test") throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("\(name) \(UUID())")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    precondition(Self.areRemovedAtTheEnd)
    _ = Self.present.withLock { $0.insert(url) }
  }

  deinit {
    try? FileManager.default.removeItem(at: url)
    _ = Self.present.withLock { $0.remove(url) }
  }

  /// The path of something in it.
  public func callAsFunction(_ name: String) -> String { url.appendingPathComponent(name).path }
}
