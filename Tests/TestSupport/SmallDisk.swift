import Foundation

/// A real file system of its own in memory, of a few MB, gone with the last reference to it.
public final class SmallDisk {
  private let folder: TemporaryFolder
  public var path: String { folder.path }

  /// Whether this user may mount one.
  public static let isPossible = (try? SmallDisk(megabytes: 1)) != nil

  public convenience init(megabytes: Int) throws { try self.init(kilobytes: megabytes << 10) }

  public init(kilobytes: Int) throws {
    folder = try TemporaryFolder("rd disk")
    try Self.run("mount", ["-t", "tmpfs", "-o", "size=\(kilobytes)k", "tmpfs", folder.path])
  }

  deinit { try? Self.run("umount", ["-l", folder.path]) }

  public func callAsFunction(_ name: String) -> String { folder(name) }

  /// Lets nothing change on it, or lets it change again.
  public func set(readOnly: Bool) throws { try Self.run("mount", ["-o", "remount,\(readOnly ? "ro" : "rw")", path]) }

  /// Writes a file of all that is free.
  public func fill(_ name: String) throws {
    guard let file = fopen(self(name), "w") else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    defer { fclose(file) }
    setvbuf(file, nil, _IONBF, 0)
    let bytes = [UInt8](repeating: 1, count: 4096)
    while fwrite(bytes, 1, bytes.count, file) == bytes.count {}
  }

  private static func run(_ command: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [command] + arguments
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw ToolProcess.Trouble(description: "\(command) \(arguments): \(process.terminationStatus)")
    }
  }
}
