import Diagnostics
import Distillation

extension TrainingConfiguration {
  /// The whole configuration as a commented TOML file, in a fixed order. Reading it gives an equal configuration.
  public var toml: String {
    var text = ""
    var section = ""
    for key in Key.allCases {
      if key.section != section {
        section = key.section
        text += (text.isEmpty ? "" : "\n") + "# \(section)\n\n"
      }
      let setting = key.setting
      text += "# \(setting.meaning) (\(setting.accepted))\n"
      if key == .data, data.isEmpty {
        text += "# \(key.rawValue) is not set: folders of images take its place\n"
      } else if let literal = setting.literal(self) {
        text += "\(key.rawValue) = \(literal)\n"
      } else {
        text += "# \(key.rawValue) is not set: \(setting.otherwise)\n"
      }
    }
    return text
  }

  /// What a checkpoint stores: the keys that decide what is computed, and nothing that may differ between equal runs, such as folders,
  /// threads, or when to stop.
  public var checkpointText: String {
    let resolved = resolved
    return Key.allCases.filter(\.definesComputation).map {
      "\($0.rawValue) = \($0.setting.literal(resolved) ?? "")\n"
    }.joined()
  }

  /// Every key with its value that all ranks of a job must have alike; threads and caches may differ.
  var commonValues: [(key: Key, value: String)] {
    Key.allCases.filter { $0 != .threads && $0 != .featureCache }.map { ($0, $0.setting.shown(in: self)) }
  }

  /// This configuration with everything that a preset implies said.
  var resolved: TrainingConfiguration {
    var resolved = self
    resolved.loss = model.loss
    resolved.fusion = model.fusion
    return resolved
  }

  /// A key whose value keeps a run from resuming.
  public struct Conflict: Sendable, Equatable, CustomStringConvertible {
    public let key: Key
    /// The value of this configuration.
    public let own: String
    /// The value of the configuration it was compared with.
    public let other: String

    public var description: String { "\(key.rawValue) is \(own), there \(other)" }
  }

  /// Compares the keys that decide what is computed; all others may differ when a run resumes.
  ///
  /// - Returns: the keys that differ, with both values; empty if one run can go on from the other's checkpoint.
  public func compatibility(with other: TrainingConfiguration) -> [Conflict] {
    let (ours, theirs) = (resolved, other.resolved)
    return Key.allCases.filter(\.definesComputation).compactMap { key in
      let (own, other) = (key.setting.shown(in: ours), key.setting.shown(in: theirs))
      return own == other ? nil : Conflict(key: key, own: own, other: other)
    }
  }

}
