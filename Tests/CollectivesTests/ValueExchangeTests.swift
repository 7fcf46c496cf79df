import Collectives
import Testing

@Suite struct ValueExchangeTests {
  @Test(arguments: 1...5)
  func valuesReachTheirRanksInOrder(size: Int) throws {
    let received = try LocalCommunicator.run(size: size) { communicator in
      // Rank r sends r + d values to rank d.
      let counts = (0..<size).map { communicator.rank + $0 }
      let values = counts.enumerated().flatMap { target, count in
        [UInt16](repeating: UInt16(10 * communicator.rank + target), count: count)
      }
      return try communicator.allToAll(values: values, counts: counts)
    }
    for (rank, values) in received.enumerated() {
      let expected = (0..<size).flatMap { [UInt16](repeating: UInt16(10 * $0 + rank), count: $0 + rank) }
      #expect(values == expected)
    }
  }

  @Test(arguments: 1...5, [0, 1, 3, 1000])
  func countsAreSummedPlaceByPlace(size: Int, places: Int) throws {
    let sums = try LocalCommunicator.run(size: size) { communicator in
      try communicator.sum((0..<places).map { $0 * $0 + communicator.rank })
    }
    #expect(sums.allSatisfy { $0 == (0..<places).map { size * $0 * $0 + size * (size - 1) / 2 } })
  }
}
