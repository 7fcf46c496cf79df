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
      text += "# \(setting.meaning) (\(setting.accepted))\n\(line(of: key))\n"
    }
    return text
  }

  private func line(of key: Key) -> String {
    if key == .data, data.isEmpty { return "# data is not set: folders of images take its place" }
    let setting = key.setting
    return setting.literal(self).map { "\(key.rawValue) = \($0)" }
      ?? "# \(key.rawValue) is not set: \(setting.otherwise)"
  }

  /// The whole configuration, with everything that a preset implies, as TOML that says of each value where it comes from.
  /// - Parameter origins: where the values were given that are no defaults (``resolve(file:options:)``).
  public func toml(origins: [Key: String]) -> String {
    let resolved = resolved
    let rows = Key.allCases.map { key in
      let isImplied = [.loss, .fusion].contains(key)
      return [
        resolved.line(of: key),
        "# " + (origins[key] ?? (isImplied ? "preset \(preset.rawValue)" : "default")),
      ]
    }
    return alignedColumns(rows).map { $0 + "\n" }.joined()
  }

  /// Every key with its meaning and default, as the Markdown of docs/configuration.md.
  public static var reference: String {
    var text = """
      # Configuration

      Every key of `rd-train`, in a TOML file or, with dashes for underscores, as an option: `image_size = 128` is `--image-size 128`. Options override the
      file; `rd-train --print-config` shows what holds and where each value comes from. [cluster/rd-train.toml](../cluster/rd-train.toml) is a commented file
      with all keys, and [docs/examples](examples) holds short ones. A key marked with * decides what is computed: a checkpoint stores it, and a run goes on
      from a checkpoint only where it is the same.

      """
    var section = ""
    for key in Key.allCases {
      if key.section != section {
        section = key.section
        text += "\n## \(section)\n\n| key | meaning | values | default |\n|---|---|---|---|\n"
      }
      let setting = key.setting
      let ending = key.isRequired ? "required" : setting.shown(in: .draft)
      let mark = key.definesComputation ? " *" : ""
      text += "| `\(key.rawValue)`\(mark) | \(setting.meaning) | \(setting.accepted) | \(ending) |\n"
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
