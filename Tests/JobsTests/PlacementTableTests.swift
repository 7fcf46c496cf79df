import Foundation
import Jobs
import Testing

@Suite struct PlacementTableTests {
  private func row(
    _ rank: Int, _ host: String, _ cores: String, threads: Int, given: Bool = false, oversubscribed: Bool = false
  ) -> PlacementTable.Row {
    PlacementTable.Row(
      rank: rank, host: host, cores: IndexSet(list: cores), threads: threads, shards: rank * 2..<rank * 2 + 2,
      threadsAreGiven: given, mayOversubscribe: oversubscribed)
  }

  @Test(arguments: ["", "0", "0-3", "0-3,8", "1,3,5-6"])
  func listsOfCoresAreReadAndWritten(list: String) {
    #expect(IndexSet(list: list).list == list)
  }

  @Test func everyRankHasALine() {
    let table = PlacementTable([row(0, "node1", "0-3", threads: 4), row(1, "anothernode", "0-1,8", threads: 3)])
    #expect(
      table.lines == [
        "rank  host         cores  threads  shards",
        "0     node1        0-3    4        0-1",
        "1     anothernode  0-1,8  3        2-3",
      ])
    #expect(table.warnings == [])
  }

  @Test func manyRanksAreGroupedByHost() {
    let rows = (0..<64).map { row($0, "node\($0 / 32)", "\($0 % 32 * 2)-\($0 % 32 * 2 + 1)", threads: 2) }
    #expect(
      PlacementTable(rows).lines == [
        "ranks  host   cores  threads a rank  shards a rank",
        "0-31   node0  0-63   2               2",
        "32-63  node1  0-63   2               2",
      ])
    var uneven = rows
    uneven[40].threads = 1
    #expect(PlacementTable(uneven).lines.count == 4)
    #expect(PlacementTable(uneven).lines[2].hasPrefix("32-39,41-63"))
  }

  @Test func ranksThatShareCoresAreNamed() {
    let rows = [
      row(0, "a", "0-1", threads: 2), row(1, "a", "1-2", threads: 2), row(2, "a", "3", threads: 1),
      row(3, "b", "0-1", threads: 2),
    ]
    let warnings = PlacementTable(rows).warnings
    #expect(warnings.count == 1)
    #expect(warnings.first?.hasPrefix("ranks 0-1 on a: 4 threads share 3 cores, and wait for each other") == true)
  }

  /// A rank whose cores overlap those of two others that have none in common brings all three together.
  @Test func sharingIsTransitive() {
    let rows = [
      row(0, "a", "0", threads: 1), row(1, "a", "2", threads: 1), row(2, "a", "0-2", threads: 2),
    ]
    #expect(PlacementTable(rows).warnings.first?.hasPrefix("ranks 0-2 on a: 4 threads share 3 cores") == true)
  }

  @Test func aRankWithMoreThreadsThanCoresIsNamed() {
    #expect(
      PlacementTable([row(0, "a", "5", threads: 2)]).warnings.first?.hasPrefix("rank 0 on a: 2 threads share 1 core,")
        == true)
  }

  @Test func equalTroubleOnManyHostsIsSaidOnce() {
    let rows = (0..<12).map { row($0, "node\($0 / 2)", "0", threads: 1) }
    let warnings = PlacementTable(rows).warnings
    #expect(warnings.count == 1)
    #expect(
      warnings.first?.hasPrefix("ranks 0-11 on node0, node1, node2, node3 and 2 more: 2 threads share 1 core") == true)
  }

  @Test func whatWasAskedForIsNoTrouble() {
    #expect(PlacementTable([row(0, "a", "0", threads: 8, given: true)]).warnings == [])
    // The rank beside mpirun knows it, others may not.
    let rows = [row(0, "a", "0", threads: 1, oversubscribed: true)] + (1..<5).map { row($0, "b", "0", threads: 1) }
    #expect(PlacementTable(rows).warnings == [])
  }
}
