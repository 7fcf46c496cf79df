import Distillation
import Foundation
import Imagery
import Numerics
import TOMLKit

/// A value as it was written, before it is known what it should be.
enum WrittenValue {
  /// A word of the command line, which may stand for a value of any type.
  case word(String)
  case string(String)
  case integer(Int)
  case real(Double)
  case boolean(Bool)
  /// A table, array or date, none of which any key takes.
  case other(String)

  init(_ value: any TOMLValueConvertible) {
    if let string = value.string {
      self = .string(string)
    } else if let integer = value.int {
      self = .integer(integer)
    } else if let real = value.double {
      self = .real(real)
    } else if let boolean = value.bool {
      self = .boolean(boolean)
    } else {
      self = .other("(\(value.type))")
    }
  }

  /// The text, of a string or of a word.
  var text: String? {
    switch self {
    case .word(let text), .string(let text): text
    default: nil
    }
  }

  /// The value as an error message shows it.
  var shown: String {
    switch self {
    case .word(let text): text.isEmpty ? "''" : text
    case .string(let text): text.tomlLiteral
    case .integer(let value): value.tomlLiteral
    case .real(let value): value.tomlLiteral
    case .boolean(let value): value.tomlLiteral
    case .other(let kind): kind
    }
  }
}

/// A type that a configuration key can have.
protocol ConfigurationValue {
  /// The value that was written, or nothing if it is not one of this type.
  init?(_ written: WrittenValue)
  /// The value in TOML. Reading it gives an equal value.
  var tomlLiteral: String { get }
}

extension String: ConfigurationValue {
  init?(_ written: WrittenValue) {
    guard let text = written.text else { return nil }
    self = text
  }

  var tomlLiteral: String {
    var literal = "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"", "\\": literal += "\\\(scalar)"
      case "\u{0}"..."\u{1F}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        literal += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: literal.unicodeScalars.append(scalar)
      }
    }
    return literal + "\""
  }
}

extension Int: ConfigurationValue {
  init?(_ written: WrittenValue) {
    switch written {
    case .integer(let value): self = value
    case .word(let text): self.init(text)
    default: return nil
    }
  }

  var tomlLiteral: String { String(self) }
}

extension UInt64: ConfigurationValue {
  init?(_ written: WrittenValue) {
    guard let value = Int(written) else { return nil }
    self.init(exactly: value)
  }

  var tomlLiteral: String { String(self) }
}

extension Double: ConfigurationValue {
  init?(_ written: WrittenValue) {
    switch written {
    case .real(let value): self = value
    case .integer(let value): self.init(value)
    case .word(let text): self.init(text)
    default: return nil
    }
  }

  var tomlLiteral: String { description }
}

extension Bool: ConfigurationValue {
  init?(_ written: WrittenValue) {
    switch written {
    case .boolean(let value): self = value
    case .word(let text): self.init(text)
    default: return nil
    }
  }

  var tomlLiteral: String { description }
}

/// A value that is one of a few words.
protocol ConfigurationWord: ConfigurationValue, RawRepresentable, CaseIterable where RawValue == String {}

extension ConfigurationWord {
  init?(_ written: WrittenValue) {
    guard let text = written.text else { return nil }
    self.init(rawValue: text)
  }

  var tomlLiteral: String { rawValue.tomlLiteral }

  static var words: [String] { allCases.map(\.rawValue) }
}

extension DataSet.Layout: ConfigurationWord {}
extension ImageFit: ConfigurationWord {}
extension Backbone: ConfigurationWord {}
extension DistillationLoss: ConfigurationWord {}
extension Fusion: ConfigurationWord {}
extension BottleneckKind: ConfigurationWord {}
extension TrainingConfiguration.Preset: ConfigurationWord {}
extension EngineKind: ConfigurationWord {}
extension Precision: ConfigurationWord {}
extension TrainingConfiguration.Statistics: ConfigurationWord {}
extension TrainingConfiguration.Criterion: ConfigurationWord {}

extension TrainingConfiguration.Resume: ConfigurationValue {
  init?(_ written: WrittenValue) {
    switch written.text {
    case nil, "": return nil
    case "auto": self = .automatic
    case "never": self = .never
    case .some(let path): self = .file(path)
    }
  }

  var tomlLiteral: String {
    switch self {
    case .automatic: "auto".tomlLiteral
    case .never: "never".tomlLiteral
    case .file(let path): path.tomlLiteral
    }
  }
}

extension TrainingConfiguration.Interval: ConfigurationValue {
  init?(_ written: WrittenValue) {
    if let epochs = Int(written) {
      self = .epochs(epochs)
      return
    }
    let parts = written.text?.split(separator: " ") ?? []
    guard let first = parts.first, let number = Int(first) else { return nil }
    switch parts.dropFirst() {
    case [], ["epoch"], ["epochs"]: self = .epochs(number)
    case ["step"], ["steps"]: self = .steps(number)
    default: return nil
    }
  }

  var tomlLiteral: String {
    switch self {
    case .epochs(let number): "\(number) epoch\(number == 1 ? "" : "s")".tomlLiteral
    case .steps(let number): "\(number) step\(number == 1 ? "" : "s")".tomlLiteral
    }
  }

  /// How many epochs or steps.
  var number: Int {
    switch self {
    case .epochs(let number), .steps(let number): number
    }
  }
}

extension TrainingConfiguration.FeatureCache: ConfigurationValue {
  private static let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)]

  init?(_ written: WrittenValue) {
    guard let text = written.text else { return nil }
    switch text {
    case "auto": self = .automatic
    case "off": self = .off
    default:
      guard let (name, size) = Self.units.first(where: { text.hasSuffix($0.0) }) else { return nil }
      let digits = text.dropLast(name.count)
      guard let number = Int(digits.last == " " ? digits.dropLast() : digits), number > 0 else { return nil }
      let (bytes, overflow) = number.multipliedReportingOverflow(by: size)
      guard !overflow else { return nil }
      self = .bytes(bytes)
    }
  }

  var tomlLiteral: String {
    switch self {
    case .automatic: return "auto".tomlLiteral
    case .off: return "off".tomlLiteral
    case .bytes(let bytes):
      let (name, size) = Self.units.first { bytes % $0.1 == 0 } ?? ("B", 1)
      return "\(bytes / size)\(name)".tomlLiteral
    }
  }
}

extension TrainingConfiguration.EndTime: ConfigurationValue {
  init?(_ written: WrittenValue) {
    if let seconds = Int(written) {
      self = .at(Date(timeIntervalSince1970: Double(seconds)))
      return
    }
    switch written.text {
    case nil: return nil
    case "auto": self = .automatic
    case "none": self = .none
    case .some(let text):
      // As Slurm's scontrol prints times: in the host's own zone, which is not named.
      let formatter = DateFormatter()
      formatter.locale = Locale(identifier: "en_US_POSIX")
      formatter.dateFormat = "yyyy-MM-dd'T'HH:mm:ss"
      guard let time = formatter.date(from: text) else { return nil }
      self = .at(time)
    }
  }

  var tomlLiteral: String {
    switch self {
    case .automatic: "auto".tomlLiteral
    case .none: "none".tomlLiteral
    case .at(let time): Int(time.timeIntervalSince1970).tomlLiteral
    }
  }
}
