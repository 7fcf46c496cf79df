import Collectives
import Diagnostics
import Foundation

/// Where the ranks of a job run and with how many threads: shown once, when it starts.
package struct PlacementTable: Sendable {
  /// A rank.
  package struct Row: Codable, Sendable, Equatable {
    package var rank: Int
    package var host: String
    /// The cores that it may use.
    package var cores: IndexSet
    package var threads: Int
    /// The shards that it runs.
    package var shards: Range<Int>
    /// Whether somebody asked for this number of threads.
    package var threadsAreGiven: Bool
    /// Whether this rank knows that somebody asked for more ranks than there is room for.
    package var mayOversubscribe: Bool

    package init(
      rank: Int, host: String, cores: IndexSet, threads: Int, shards: Range<Int>, threadsAreGiven: Bool,
      mayOversubscribe: Bool
    ) {
      self.rank = rank
      self.host = host
      self.cores = cores
      self.threads = threads
      self.shards = shards
      self.threadsAreGiven = threadsAreGiven
      self.mayOversubscribe = mayOversubscribe
    }
  }

  private let rows: [Row]

  /// - Parameter rows: the ranks, by number.
  package init(_ rows: [Row]) { self.rows = rows }

  /// Collective.
  /// - Parameters:
  ///   - threads: those of this rank.
  ///   - areGiven: whether somebody asked for this number of threads.
  ///   - shards: those of this rank.
  package init(
    _ placement: Placement, threads: Int, areGiven: Bool, shards: Range<Int>, over communicator: any Communicator
  ) throws {
    let row = Row(
      rank: communicator.rankInJob, host: LaunchEnvironment.hostName, cores: placement.cores, threads: threads,
      shards: shards, threadsAreGiven: areGiven,
      mayOversubscribe: LaunchEnvironment.allowsOversubscription)
    rows = try communicator.allGather(coded: [row])
  }

  package func show(on console: Console) {
    for line in lines { console.say(line) }
    for warning in warnings { console.warn("\(warning)") }
  }

  // MARK: The table

  /// More ranks than this are shown in groups.
  private static let longest = 32

  /// The lines of the table, under one that names the columns.
  package var lines: [String] {
    alignedColumns(rows.count > Self.longest ? groupedCells : cells)
  }

  private var cells: [[String]] {
    [["rank", "host", "cores", "threads", "shards"]]
      + rows.map { row in
        ["\(row.rank)", row.host, row.cores.list, "\(row.threads)", IndexSet(integersIn: row.shards).list]
      }
  }

  /// Ranks of a host that differ in nothing but which cores and shards they have, in one line.
  private var groupedCells: [[String]] {
    func key(_ row: Row) -> [String] {
      [row.host, "\(row.cores.count)", "\(row.threads)", "\(row.shards.count)"]
    }
    return [["ranks", "host", "cores", "threads a rank", "shards a rank"]]
      + grouped(rows, by: key).map { group in
        [
          IndexSet(group.map(\.rank)).list, group[0].host, union(group).list, "\(group[0].threads)",
          "\(group[0].shards.count)",
        ]
      }
  }

  // MARK: Warnings

  /// The places where threads take turns on a core although nobody asked for that.
  package var warnings: [String] {
    guard !rows.contains(where: \.mayOversubscribe) else { return [] }
    let crowds = grouped(rows) { $0.host }.flatMap { sharingCores($0) }.filter { crowd in
      guard !crowd.contains(where: \.threadsAreGiven) else { return false }
      return crowd.reduce(0) { $0 + $1.threads } > union(crowd).count
        || crowd.contains { $0.threads > $0.cores.count }
    }
    // Alike on all hosts, as a rule: said once.
    return grouped(crowds) { crowd in [crowd.reduce(0) { $0 + $1.threads }, union(crowd).count, crowd.count] }.map {
      crowds in
      let (ranks, hosts) = (crowds.joined().map(\.rank), crowds.map { $0[0].host })
      let names = hosts.prefix(4).joined(separator: ", ") + (hosts.count > 4 ? " and \(hosts.count - 4) more" : "")
      let (threads, cores) = (crowds[0].reduce(0) { $0 + $1.threads }, union(crowds[0]).count)
      return "\(ranks.count == 1 ? "rank" : "ranks") \(IndexSet(ranks).list) on \(names): \(threads) threads share "
        + "\(cores) \(cores == 1 ? "core" : "cores"), and wait for each other; start fewer ranks, or give them cores "
        + "by mpirun's --map-by slot:PE=N or --bind-to none"
    }
  }

  /// The ranks of a host, parted so that ranks of different parts have no core in common.
  private func sharingCores(_ rows: [Row]) -> [[Row]] {
    rows.reduce(into: []) { parts, row in
      let touching = parts.filter { !union($0).isDisjoint(with: row.cores) }
      parts.removeAll { !union($0).isDisjoint(with: row.cores) }
      parts.append(touching.joined() + [row])
    }
  }
}

/// The cores of all these ranks.
private func union(_ rows: [PlacementTable.Row]) -> IndexSet {
  rows.reduce(into: IndexSet()) { $0.formUnion($1.cores) }
}

/// Elements with equal keys, in the order of each key's first.
private func grouped<Element, Key: Hashable>(_ elements: [Element], by key: (Element) -> Key) -> [[Element]] {
  var places: [Key: Int] = [:]
  return elements.reduce(into: []) { groups, element in
    let place = places[key(element), default: groups.count]
    if place == groups.count { groups.append([]) }
    places[key(element)] = place
    groups[place].append(element)
  }
}
