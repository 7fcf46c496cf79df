import ArgumentParser
import Diagnostics
import Foundation
import Synchronization

/// How much is said, where it is not the usual.
public enum Verbosity: String, EnumerableFlag, Sendable {
  /// Warnings and errors alone.
  case quiet
  /// Every step of a long run as a line, also on a terminal.
  case verbose

  public static func name(for value: Verbosity) -> NameSpecification { .shortAndLong }

  public static func help(for value: Verbosity) -> ArgumentHelp? {
    switch value {
    case .quiet: "say nothing but warnings and errors"
    case .verbose: "say every step, each on a line of its own"
    }
  }
}

/// What a person sees of a long run: a bar that moves on a terminal, plain lines now and then elsewhere. Rank 0 shows it, the others nothing.
public final class Console: Sendable {
  private struct State {
    var last: ContinuousClock.Instant?
    var hasBar = false
  }

  private let isShown: Bool
  private let isQuiet: Bool
  private let isTerminal: Bool
  /// What every line begins with.
  private let prefix: String
  private let interval: Duration
  private let state = Mutex(State())

  /// - Parameters:
  ///   - rank: the rank that speaks.
  ///   - topic: what it speaks of, where there are several things.
  public init(rank: Int, topic: String? = nil, _ verbosity: Verbosity? = nil) {
    isShown = rank == 0
    isQuiet = verbosity == .quiet
    prefix = topic.map { "\($0): " } ?? ""
    isTerminal = verbosity != .verbose && isatty(STDERR_FILENO) == 1
    interval = verbosity == .verbose ? .zero : isTerminal ? .milliseconds(100) : .seconds(10)
  }

  /// A line that stays.
  public func say(_ line: String) {
    guard !isQuiet else { return }
    show(line)
  }

  /// A line that stays, and that nothing keeps from being said.
  public func warn(_ line: String) { show("warning: \(line)") }

  /// The same of what went wrong.
  public func error(_ line: String) { show("error: \(line)") }

  private func show(_ line: String) {
    guard isShown else { return }
    state.withLock { state in
      write((state.hasBar ? "\r\u{1B}[K" : "") + prefix + line + "\n")
      state.hasBar = false
    }
  }

  /// How far a run is. Most calls show nothing; the last one (`done == total`) always does.
  /// - Parameter total: nil where the end is not known: then there is no bar.
  public func progress(_ done: Int, of total: Int?, _ text: @autoclosure () -> String) {
    guard isShown, !isQuiet else { return }
    state.withLock { state in
      let now = ContinuousClock.now
      if let last = state.last, now - last < interval, done != total { return }
      state.last = done == total ? nil : now
      if isTerminal {
        let width = total == nil ? 0 : 30
        let filled = total.map { $0 > 0 ? width * min(done, $0) / $0 : width } ?? 0
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        write("\r\u{1B}[K\(bar)\(bar.isEmpty ? "" : " ")\(prefix)\(text())" + (done == total ? "\n" : ""))
        state.hasBar = done != total
      } else {
        write(prefix + text() + "\n")
      }
    }
  }

  private func write(_ text: String) {
    writeAsError(text)
  }
}
