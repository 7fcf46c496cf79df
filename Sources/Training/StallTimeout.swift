extension TrainingConfiguration {
  /// How long ranks wait for one that neither arrives nor computes, before the job ends.
  public enum StallTimeout: Sendable, Equatable {
    /// For ever.
    case off
    case seconds(Int)

    public var duration: Duration? {
      switch self {
      case .off: nil
      case .seconds(let count): .seconds(count)
      }
    }
  }
}

extension TrainingConfiguration.StallTimeout: ConfigurationValue {
  private static let units = [("h", 3600), ("min", 60), ("s", 1)]

  init?(_ written: WrittenValue) {
    guard let text = written.text else { return nil }
    self.init(text)
  }

  /// - Parameter text: `off`, or a time such as `10 min`.
  public init?(_ text: String) {
    if text == "off" {
      self = .off
      return
    }
    guard let (name, size) = Self.units.first(where: { text.hasSuffix($0.0) }) else { return nil }
    let digits = text.dropLast(name.count)
    guard let number = Int32(digits.last == " " ? digits.dropLast() : digits), number > 0 else { return nil }
    self = .seconds(Int(number) * size)
  }

  var tomlLiteral: String {
    switch self {
    case .off: return "off".tomlLiteral
    case .seconds(let count):
      let (name, size) = Self.units.first { count % $0.1 == 0 } ?? ("s", 1)
      return "\(count / size) \(name)".tomlLiteral
    }
  }
}
