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
  /// - Throws: one ``Failure`` that says everything that is wrong: `.usage` if the command line is at fault or nothing says what to do,
  ///   `.configuration` if only the file is, or if values do not go together.
  public static func resolve(file: String? = nil, options: [Key: String] = [:]) throws -> TrainingConfiguration {
    let file = file ?? (FileManager.default.fileExists(atPath: defaultFile) ? defaultFile : nil)
    var reader = ConfigurationReader(.draft)
    if let file {
      reader.read(toml: try contents(of: file), file: file)
    }
    let fileErrors = reader.errors.count
    for key in Key.allCases {
      guard let word = options[key] else { continue }
      reader.read(.word(word), key: key, place: "\(key.option) \(WrittenValue.word(word).shown)")
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
    try configuration.requireResumableCategories()
    try configuration.requireEvaluable()
    return configuration
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

  /// This configuration with a checkpoint's computation in the place of its own: data, output, threads and the like stay.
  ///
  /// - Parameters:
  ///   - checkpointText: what ``checkpointText`` of the run that wrote the checkpoint was.
  ///   - file: the checkpoint's name, for error messages.
  /// - Throws: ``Failure`` `.badData` if the text is not a checkpoint's.
  public func restored(from checkpointText: String, file: String) throws -> TrainingConfiguration {
    let computation = Key.allCases.filter(\.definesComputation)
    var start = self
    // Older checkpoints held nothing out and do not say so.
    start.validationFraction = 0
    var reader = ConfigurationReader(start)
    reader.read(toml: checkpointText, file: file, keys: computation)
    reader.require(computation.filter { $0 != .validationFraction }) { "\(file): '\($0.rawValue)' is missing" }
    return try reader.result(.badData, hint: "the checkpoint was written by another version of rd-train, or is damaged")
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
  private var given: Set<Key> = []
  private(set) var errors: [String] = []

  init(_ configuration: TrainingConfiguration) {
    self.configuration = configuration
  }

  /// Reads one value; `place` says where it stands and what it is.
  mutating func read(_ written: WrittenValue, key: Key, place: String) {
    given.insert(key)
    let setting = key.setting
    guard !setting.read(written, &configuration) else { return }
    let meant = written.text.flatMap { suggestion(for: $0, among: setting.words) }
    errors.append("\(place): must be \(setting.accepted)" + (meant.map { "; did you mean \($0)?" } ?? ""))
  }

  mutating func read(toml: String, file: String, keys: [Key] = Key.allCases) {
    if let line = lineOfNamelessTable(in: toml) {
      errors.append("\(file):\(line): a table without a name: all keys stand at the top level, without tables")
      given = Set(Key.allCases)
      return
    }
    let table: TOMLTable
    do {
      table = try TOMLTable(string: toml)
    } catch let error as TOMLParseError {
      errors.append("\(file):\(error.source.begin.line): \(error.description)")
      // What stands in a file that cannot be parsed is not known, so nothing is missing from it.
      given = Set(Key.allCases)
      return
    } catch {
      errors.append("\(file): \(error)")
      given = Set(Key.allCases)
      return
    }
    let entries = table.keys.map { (name: $0, line: lineNumber(of: $0, in: toml)) }
    for (name, line) in entries.sorted(by: { ($0.line ?? 0, $0.name) < ($1.line ?? 0, $1.name) }) {
      guard let value = table[name] else { continue }
      let place = "\(file)\(line.map { ":\($0)" } ?? "")"
      if let key = Key(rawValue: name), keys.contains(key) {
        let written = WrittenValue(value)
        read(written, key: key, place: "\(place): \(name) = \(written.shown)")
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
    errors += required.filter { !given.contains($0) }.map(message)
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

/// The line, from 1, of a table's header that has something else where its name should begin: the parser would end the process there.
private func lineOfNamelessTable(in toml: String) -> Int? {
  let text = toml.unicodeScalars.split(omittingEmptySubsequences: false) { ("\n"..."\r").contains($0) }
  for (index, line) in text.enumerated() {
    func isBlank(_ scalar: Unicode.Scalar) -> Bool { " \t\u{FEFF}".unicodeScalars.contains(scalar) }
    var rest = line.drop(while: isBlank)
    guard rest.first == "[" else { continue }
    rest = rest.dropFirst().drop(while: isBlank)
    if rest.first == "[" { rest = rest.dropFirst().drop(while: isBlank) }
    let isNamed = rest.first.map { scalar in
      scalar.isASCII && (scalar.properties.isAlphabetic || "0123456789_-\"']".unicodeScalars.contains(scalar))
    }
    if isNamed != true { return index + 1 }
  }
  return nil
}
