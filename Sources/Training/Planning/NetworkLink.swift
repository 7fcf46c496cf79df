import Collectives
import Diagnostics

/// What a network does for a rank, as "latency 50us, bandwidth 10Gbit/s" says.
package struct NetworkLink: Sendable, Equatable, CustomStringConvertible {
  /// The way of a small message from program to program, in seconds.
  package let latency: Double
  /// Bits a second, in each direction.
  package let bandwidth: Double
  package let description: String

  /// - Throws: `Failure(.usage)`.
  package init(_ text: String) throws {
    var values: [Substring: Double] = [:]
    for part in text.split(separator: ",") {
      let words = part.split(separator: " ")
      let quantity = words.first.flatMap { Self.quantities[$0] }
      guard words.count == 2, let quantity, values[words[0]] == nil, let value = quantity.value(words[1]) else {
        throw Self.failure(text)
      }
      values[words[0]] = value
    }
    guard let latency = values["latency"], let bandwidth = values["bandwidth"] else {
      throw Self.failure(text)
    }
    (self.latency, self.bandwidth, description) = (latency, bandwidth, text)
  }

  private struct Quantity {
    let units: [(name: String, factor: Double)]
    /// What makes times that can be said.
    let range: ClosedRange<Double>

    func value(_ word: Substring) -> Double? {
      guard let unit = units.first(where: { word.hasSuffix($0.name) }),
        let number = Double(word.dropLast(unit.name.count)), range.contains(number * unit.factor)
      else { return nil }
      return number * unit.factor
    }
  }

  private static let quantities: [Substring: Quantity] = [
    "latency": Quantity(units: [("us", 1e-6), ("ms", 1e-3), ("s", 1)], range: 0...3600),
    "bandwidth": Quantity(units: [("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9)], range: 1...1e18),
  ]

  private static func failure(_ text: String) -> Failure {
    Failure(
      .usage, "--network \"\(text)\": must be like \"latency 50us, bandwidth 10Gbit/s\"",
      hint: "latency in us, ms or s, one way, at most 3600s; bandwidth in kbit/s, Mbit/s or Gbit/s, of a host's link, "
        + "from 0.001kbit/s to 1e9Gbit/s")
  }

  /// From this size on, an all-gather goes round in a ring instead of by doubling.
  private static let ringBytes = 1 << 16

  /// The seconds that a collective call takes from when the last rank has come.
  ///
  /// What a rank sends to all others at once waits for one latency. An all-gather of little data takes a round for each doubling, one of much
  /// data a round for each other rank.
  /// - Parameters:
  ///   - ranks: of the job.
  ///   - sharing: how many ranks share a host's link.
  func seconds(_ exchange: Exchange, ranks: Int, sharing: Int) -> Double {
    let rounds: Int
    switch exchange.kind {
    case .allToAll: rounds = 1
    case .allGather where exchange.received < Self.ringBytes:
      rounds = (ranks - 1).bitWidth - (ranks - 1).leadingZeroBitCount
    case .allGather: rounds = ranks - 1
    }
    let bytes = max(exchange.sent, exchange.received) * sharing
    return Double(rounds) * latency + 8 * Double(bytes) / bandwidth
  }
}
