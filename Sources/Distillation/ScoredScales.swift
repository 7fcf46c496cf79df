import Diagnostics

/// A scale at which student and teacher are compared: stages 1, 2 and 3 of the teacher, fine to coarse.
public enum Scale: Int, CaseIterable, Codable, Sendable {
  case first = 1
  case second, third

  /// The paper's name of the scale's map.
  public var name: String { "M\(rawValue)" }
}

/// The scales whose maps make up the anomaly map, written as in the paper's table 7: "M1", "M2+M3", "M1+M2+M3".
public struct ScoredScales: Sendable, Hashable, CustomStringConvertible {
  /// At least one, each once, fine to coarse.
  public let scales: [Scale]

  public static let all = ScoredScales(Scale.allCases)

  /// Every choice there is, by its text.
  public static let accepted = ["M1", "M2", "M3", "M1+M2", "M1+M3", "M2+M3", "M1+M2+M3"]

  private init(_ scales: [Scale]) { self.scales = scales }

  /// - Parameter text: names of scales joined by "+", in any order.
  /// - Throws: `Failure` of `.usage` for anything but different names of scales.
  public init(_ text: String) throws {
    let parts = text.split(separator: "+", omittingEmptySubsequences: false)
    let chosen = Scale.allCases.filter { scale in parts.contains { $0 == scale.name } }
    guard chosen.count == parts.count else {
      throw Failure(
        .usage, "scales '\(text)': not a choice of scales", hint: "choose \(Self.accepted.joined(separator: ", "))")
    }
    self.init(chosen)
  }

  public func contains(_ scale: Scale) -> Bool { scales.contains(scale) }

  public var description: String { scales.map(\.name).joined(separator: "+") }
}
