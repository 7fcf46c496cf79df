import Diagnostics
import FileSystem
import Foundation
import TOMLKit

extension TrainingConfiguration {
  /// The file that is read when none is named.
  public static let defaultFile = "rd-train.toml"

  /// Reads a configuration file and lays the command line over it.
  ///
  /// - Parameters:
  ///   - file: path of a TOML file; without one, `rd-train.toml` in the current folder is read if it exists.
  ///   - options: the values that the command line gives, as words.
  /// - Returns: also where each value that is no default was given: an option, or a file's line.
  /// - Throws: one ``Failure`` that says everything that is wrong: `.usage` if the command line is at fault or nothing says what to do,
  ///   `.configuration` if only the file is, or if values do not go together.
  public static func resolve(
    file: String? = nil, options: [Key: String] = [:]
  ) throws -> (configuration: TrainingConfiguration, origins: [Key: String]) {
    let file = file ?? (FileManager.default.fileExists(atPath: defaultFile) ? defaultFile : nil)
    var reader = ConfigurationReader(.draft)
    if let file {
      reader.read(toml: try contents(of: file), file: file)
    }
    let fileErrors = reader.errors.count
    for key in Key.allCases {
      guard let word = options[key] else { continue }
      reader.read(.word(word), key: key, from: key.option, shownAs: "\(key.option) \(WrittenValue.word(word).shown)")
    }
    let usage = file == nil || reader.errors.count > fileErrors
    reader.require(Key.allCases.filter(\.isRequired)) { key in
      let setting = key.setting
      return file.map { "\($0): '\(key.rawValue)' is missing (here or as \(key.option)): \(setting.accepted)" }
        ?? "\(key.option) is missing: \(setting.meaning), \(setting.accepted)"
    }
    let configuration = try reader.result(
      usage ? .usage : .configuration,
      hint: file == nil
        ? "give the options, or write them into \(defaultFile) in this folder (cluster/rd-train.toml is an example); "
          + "rd-train --help lists them all"
        : "rd-train --help lists all keys, as options")
    try configuration.requireNoContradictions()
    return (configuration, reader.origins)
  }

  /// Reads the text of a configuration file that stands for itself.
  ///
  /// - Parameters:
  ///   - toml: the text.
  ///   - file: the file's name, for error messages.
  /// - Throws: ``Failure`` `.configuration` with everything that is wrong.
  public init(toml: String, file: String) throws {
    var reader = ConfigurationReader(.draft)
    reader.read(toml: toml, file: file)
    reader.require(Key.allCases.filter(\.isRequired)) { key in
      "\(file): '\(key.rawValue)' is missing: \(key.setting.accepted)"
    }
    self = try reader.result(.configuration, hint: nil)
  }

  /// The computation of a checkpoint; data, output, threads and the like are what they are before anybody says so.
  ///
  /// - Parameters:
  ///   - checkpointText: what ``checkpointText`` of the run that wrote the checkpoint was.
  ///   - file: the checkpoint's name, for error messages.
  /// - Throws: ``Failure`` `.badData` if the text is not a checkpoint's.
  public init(checkpointText: String, file: String) throws {
    let computation = Key.allCases.filter(\.definesComputation)
    var start = Self.draft
    // Older checkpoints held nothing out and stretched all images, and do not say so; nor did they know tiles.
    start.validationFraction = 0
    start.fit = .stretch
    start.tiles = 1
    var reader = ConfigurationReader(start)
    reader.read(toml: checkpointText, file: file, keys: computation)
    reader.require(computation.filter { ![.validationFraction, .fit, .tiles].contains($0) }) {
      "\(file): '\($0.rawValue)' is missing"
    }
    let hint = "the checkpoint was written by another version of rd-train, or is damaged"
    self = try reader.result(.badData, hint: hint)
    if let wrong = tileContradiction { throw Failure(.badData, "\(file): \(wrong.what)", hint: hint) }
  }

  private static func contents(of file: String) throws -> String {
    let bytes: [UInt8]
    do {
      bytes = try readFile(file)
    } catch let failure as Failure {
      throw Failure(
        .configuration, failure.message,
        hint: "cluster/rd-train.toml is an example; without a file, give the options (rd-train --help)")
    }
    // The parser takes a C string: it would silently end at a zero byte.
    guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      throw Failure(.configuration, "\(file): not a text file in UTF-8")
    }
    return text
  }
}

/// Fills a configuration and collects everything that is wrong on the way.
private struct ConfigurationReader {
  typealias Key = TrainingConfiguration.Key

  private var configuration: TrainingConfiguration
  /// Where each value was given.
  private(set) var origins: [Key: String] = [:]
  /// Whether there is a file that cannot be parsed: what stands in it is not known, so nothing is missing.
  private var isBroken = false
  private(set) var errors: [String] = []

  init(_ configuration: TrainingConfiguration) {
    self.configuration = configuration
  }

  /// Reads one value.
  /// - Parameters:
  ///   - origin: where it stands.
  ///   - text: where it stands and what it is.
  mutating func read(_ written: WrittenValue, key: Key, from origin: String, shownAs text: String) {
    origins[key] = origin
    let setting = key.setting
    guard !setting.read(written, &configuration) else { return }
    let meant = written.text.flatMap { suggestion(for: $0, among: setting.words) }
    errors.append("\(text): must be \(setting.accepted)" + (meant.map { "; did you mean \($0)?" } ?? ""))
  }

  mutating func read(toml: String, file: String, keys: [Key] = Key.allCases) {
    if let (number, line) = firstNest(in: toml) {
      let parts = line.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
      let accepted = parts.count == 2 ? Key(rawValue: parts[0]).map { "must be \($0.setting.accepted)" } : nil
      errors.append(
        "\(file):\(number): \(parts.joined(separator: " = ")): "
          + (accepted ?? "all keys stand at the top level, without tables and arrays"))
      isBroken = true
      return
    }
    let table: TOMLTable
    do {
      table = try TOMLTable(string: toml)
    } catch let error as TOMLParseError {
      errors.append("\(file):\(error.source.begin.line): \(error.description)")
      isBroken = true
      return
    } catch {
      errors.append("\(file): \(error)")
      isBroken = true
      return
    }
    let entries = table.keys.map { (name: $0, line: lineNumber(of: $0, in: toml)) }
    for (name, line) in entries.sorted(by: { ($0.line ?? 0, $0.name) < ($1.line ?? 0, $1.name) }) {
      guard let value = table[name] else { continue }
      let place = "\(file)\(line.map { ":\($0)" } ?? "")"
      if let key = Key(rawValue: name), keys.contains(key) {
        let written = WrittenValue(value)
        read(written, key: key, from: place, shownAs: "\(place): \(name) = \(written.shown)")
      } else if value.type == .table {
        errors.append("\(place): unknown table '\(name)': all keys stand at the top level, without tables")
      } else {
        let meant = suggestion(for: name, among: keys.map(\.rawValue))
        errors.append("\(place): unknown key '\(name)'" + (meant.map { "; did you mean '\($0)'?" } ?? ""))
      }
    }
  }

  /// Notes every key of `required` that nothing has given a value.
  mutating func require(_ required: [Key], message: (Key) -> String) {
    guard !isBroken else { return }
    let missing = required.filter { origins[$0] == nil && !($0 == .data && origins[.normal] != nil) }
    errors += missing.map(message)
  }

  /// The configuration, if nothing was wrong.
  func result(_ code: ExitCode, hint: String?) throws -> TrainingConfiguration {
    guard !errors.isEmpty else { return configuration }
    let text = errors.count == 1 ? errors[0] : "\(errors.count) errors\n  " + errors.joined(separator: "\n  ")
    throw Failure(code, text, hint: hint)
  }
}

/// The line, from 1, on which a key or table of the top level stands. TOMLKit does not tell, so the text is searched: only a line of the same
/// look in an earlier multi-line string could mislead it.
private func lineNumber(of name: String, in toml: String) -> Int? {
  for (index, line) in toml.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
    let start = line.drop { " \t[".contains($0) }
    for spelling in [name, name.tomlLiteral, "'\(name)'"] where start.hasPrefix(spelling) {
      let rest = start.dropFirst(spelling.count).drop { " \t".contains($0) }
      if let next = rest.first, "=.]".contains(next) { return index + 1 }
    }
  }
  return nil
}

/// Where a file, outside of texts and comments, has the first bracket that is no part of a table's proper header. No key takes an array or a
/// table, and the parser ends the process at some broken ones.
/// - Returns: the line's number, from 1, and the line.
private func firstNest(in toml: String) -> (number: Int, line: String)? {
  let scalars = Array(toml.unicodeScalars)
  func isBreak(_ scalar: Unicode.Scalar) -> Bool { ("\n"..."\r").contains(scalar) }
  var (place, lineStart) = (0, 0)
  while place < scalars.count {
    let scalar = scalars[place]
    switch scalar {
    case "\"", "'":
      let isLong = scalars[place...].starts(with: [scalar, scalar, scalar])
      let end = Array(repeating: scalar, count: isLong ? 3 : 1)
      place += end.count
      while place < scalars.count, isLong || !isBreak(scalars[place]), !scalars[place...].starts(with: end) {
        place += scalar == "\"" && scalars[place] == "\\" ? 2 : 1
      }
      place += place < scalars.count && isBreak(scalars[place]) ? 0 : end.count
    case "#":
      while place < scalars.count, !isBreak(scalars[place]) { place += 1 }
    case "[", "]", "{", "}":
      let rest = scalars[lineStart...].prefix { !isBreak($0) }
      let line = String(String.UnicodeScalarView(rest))
      guard line.wholeMatch(of: /[ \t]*(\[[A-Za-z0-9_-]+\]|\[\[[A-Za-z0-9_-]+\]\])[ \t]*(#.*)?/) != nil else {
        return (scalars[..<lineStart].count { $0 == "\n" } + 1, line)
      }
      place = rest.endIndex
    default:
      if isBreak(scalar) { lineStart = place + 1 }
      place += 1
    }
  }
  return nil
}
