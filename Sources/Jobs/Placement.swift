import Collectives
import Diagnostics
import Foundation

/// What a rank may use of its host, together with the ranks beside it.
package struct Placement: Sendable {
  /// Ranks on this host, this one included.
  package let ranksOnHost: Int
  /// The threads that fall to this rank: the cores it may run on, divided by the ranks that may run on the same ones.
  package let threads: Int

  /// Collective.
  package init(_ communicator: any Communicator) throws {
    // Such as "0-3,8": what the launcher's binding leaves to this process.
    let cores = Self.value(of: "Cpus_allowed_list", in: "/proc/self/status") ?? "0"
    let places = try communicator.allGather(Array("\(LaunchEnvironment.hostName) \(cores)".utf8))
    let own = places[communicator.rank]
    let host = Array("\(LaunchEnvironment.hostName) ".utf8)
    ranksOnHost = places.count { $0.starts(with: host) }
    let count = cores.split(separator: ",").reduce(0) { count, range in
      let ends = range.split(separator: "-").compactMap { Int($0) }
      return count + (ends.count == 2 ? ends[1] - ends[0] + 1 : 1)
    }
    threads = max(count / places.count { $0 == own }, 1)
  }

  /// Half of this rank's share of the host's free memory, in bytes.
  package var memoryForCache: Int {
    let kibibytes = Self.value(of: "MemAvailable", in: "/proc/meminfo")?.split(separator: " ").first.flatMap { Int($0) }
    return (kibibytes ?? 0) * 1024 / 2 / ranksOnHost
  }

  /// A line of a file of the kernel's, behind its name and colon.
  private static func value(of name: String, in file: String) -> String? {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("\(name):") })
    else { return nil }
    return line.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)
  }
}
