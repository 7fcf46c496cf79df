import Collectives
import Diagnostics
import Foundation

/// What a rank may use of its host, together with the ranks beside it.
package struct Placement: Sendable {
  /// Ranks on this host, this one included.
  package let ranksOnHost: Int
  /// The cores that this rank may run on: what the launcher's binding leaves to it.
  package let cores: IndexSet
  /// The threads that fall to this rank: the cores it may run on, divided by the ranks that may run on the same ones.
  package let threads: Int
  /// The host's memory that was free, in bytes, within what a scheduler or container allows. Before large buffers are made: they take it only
  /// when they are used.
  package let freeMemory: Int

  /// Collective.
  package init(_ communicator: any Communicator) throws {
    let list = kernelValue(of: "Cpus_allowed_list", in: "/proc/self/status") ?? "0"
    cores = IndexSet(list: list)
    let places = try communicator.allGather(text: "\(LaunchEnvironment.hostName) \(list)")
    let own = places[communicator.rank]
    ranksOnHost = places.count { $0.hasPrefix("\(LaunchEnvironment.hostName) ") }
    threads = max(cores.count / places.count { $0 == own }, 1)
    let kibibytes = kernelValue(of: "MemAvailable", in: "/proc/meminfo")?.split(separator: " ").first.flatMap {
      Int($0)
    }
    let onHost = (kibibytes ?? 0) * 1024
    freeMemory = min(onHost, Self.memoryLeftToGroup ?? onHost)
  }

  /// Half of what is left of this rank's share of the free memory, in bytes.
  /// - Parameter bytes: what the rank's other buffers take.
  package func memoryForCache(beside bytes: Int) -> Int { max(freeMemory / ranksOnHost - bytes, 0) / 2 }

  /// What the control group of this process, or one above it, has left; nil where there is no limit.
  private static var memoryLeftToGroup: Int? {
    // Version 2 has one hierarchy, written as "0::/path"; version 1 one for memory alone, as "5:memory:/path".
    guard let text = try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8) else { return nil }
    let places: [(root: String, limit: String, usage: String, cache: String, path: String)] = text.split(
      separator: "\n"
    ).compactMap {
      let parts = $0.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 3 else { return nil }
      if parts[0] == "0" { return ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file", parts[2]) }
      guard parts[1].split(separator: ",").contains("memory") else { return nil }
      return (
        "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", parts[2]
      )
    }
    return places.flatMap { place in
      let names = place.path.split(separator: "/").map(String.init)
      return (0...names.count).compactMap { depth -> Int? in
        let folder = ([place.root] + names.prefix(depth)).joined(separator: "/")
        guard let limit = number(in: "\(folder)/\(place.limit)"), let usage = number(in: "\(folder)/\(place.usage)")
        else { return nil }
        // Files that were read count as usage, and are given up where memory is short.
        let cache = kernelValue(of: place.cache, in: "\(folder)/memory.stat").flatMap(Int.init) ?? 0
        return max(limit - usage + cache, 0)
      }
    }.min()
  }

  private static func number(in file: String) -> Int? {
    (try? String(contentsOfFile: file, encoding: .utf8)).flatMap {
      Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
    }
  }
}
