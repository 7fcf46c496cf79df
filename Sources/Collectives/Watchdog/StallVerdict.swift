/// What a rank says of itself to another that waits for it.
struct RankState: Sendable, Equatable {
  var position: CallPosition
  var step: Int
  /// How long it has been in this collective call; zero between calls.
  var waiting = Duration.zero
  /// How long it has used no processor time.
  var idle = Duration.zero
}

/// What is to be thought of ranks that keep another one waiting.
enum StallVerdict: Sendable, Equatable {
  /// They compute, or move on.
  case waitOn
  /// They are stuck: the ranks that do not answer, and those that are in no collective call and do nothing.
  case stuck(silent: [Int], inactive: [Int])
  /// All ranks have been in a call for longer than the timeout: what they wait for got lost. These are in the earliest one.
  case lost([Int])

  /// - Parameter states: what each rank said, by rank; nil of a rank that did not answer.
  init(_ states: [RankState?], timeout: Duration) {
    let silent = states.indices.filter { states[$0] == nil }
    let inactive = states.indices.filter { rank in
      states[rank].map { $0.position.call == nil && $0.idle >= timeout } ?? false
    }
    let answers = states.compactMap { $0 }
    if !silent.isEmpty || !inactive.isEmpty {
      self = .stuck(silent: silent, inactive: inactive)
    } else if answers.allSatisfy({ $0.position.call != nil && $0.waiting >= timeout }) {
      let earliest = answers.map(\.position.number).min()
      self = .lost(answers.indices.filter { answers[$0].position.number == earliest })
    } else {
      self = .waitOn
    }
  }
}

/// A rank for whoever looks for it.
struct RankAddress: Codable, Sendable, Equatable, CustomStringConvertible {
  /// The rank of the launcher's numbering, which is the job's, whatever communicator it is in.
  var rank: Int
  var host: String
  var process: Int32

  var description: String { "rank \(rank) on host \(host) (process \(process))" }
}

extension StallVerdict {
  /// What the verdict says, as a message.
  /// - Parameters:
  ///   - states: what it was made from.
  ///   - waiter: the rank that found out.
  ///   - addresses: those of all ranks.
  /// - Returns: nil where there is nothing to say.
  func message(_ states: [RankState?], waiter: Int, addresses: [RankAddress]) -> String? {
    guard let own = states[waiter], let call = own.position.call else { return nil }
    let step = own.step > 0 ? "step \(own.step): " : ""
    let place = "\(call.name), collective call \(own.position.number)"
    let waited = "for \(own.waiting.components.seconds) s"
    func list(_ ranks: [Int], _ addition: (Int) -> String) -> String {
      let shown = ranks.prefix(Self.shownRanks).map { "\n  \(addresses[$0])\(addition($0))" }
      return shown.joined() + (ranks.count > shown.count ? "\n  and \(ranks.count - shown.count) more" : "")
    }
    switch self {
    case .waitOn:
      return nil
    case .stuck(let silent, let inactive):
      return "\(step)\(addresses[waiter]) has waited \(waited) in \(place), for"
        + list(silent) { _ in
          ", which does not answer: it was stopped, its host is down, or the network to it is cut"
        }
        + list(inactive) { rank in
          ", which has used no processor time for \(states[rank]?.idle.components.seconds ?? 0) s: does it wait for a file?"
        }
    case .lost(let ranks) where ranks.count < states.count:
      return "\(step)\(addresses[waiter]) has waited \(waited) in \(place), and all ranks wait: messages were lost to"
        + list(ranks) { rank in
          states[rank].map { ", in collective call \($0.position.number), step \($0.step)" } ?? ""
        }
    case .lost:
      return
        "\(step)all \(states.count) ranks have been in \(place), \(waited), and it does not end: the network has "
        + "lost what they sent, or is slower than the stall timeout allows"
    }
  }

  /// Of a broken switch's ranks, some say where to look.
  private static let shownRanks = 8
}
