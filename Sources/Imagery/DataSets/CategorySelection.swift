import Foundation

/// What the key `category` asks for, of rd-train and of rd-eval.
public enum CategorySelection: Sendable, Equatable {
  /// One run: that of one category, or of a data set that has none.
  case single
  /// A run of each of these.
  case listed([String])
  /// A run of each category that the data set has.
  case all

  /// - Parameter text: the key's value; nil where it has none.
  /// - Returns: nil where the value is not a proper one.
  public init?(_ text: String?) {
    guard text != "" else { return nil }
    let names = (text ?? "").components(separatedBy: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    guard names.count > 1 else {
      self = text == "all" ? .all : .single
      return
    }
    // Each names a folder of the output as well, where two runs would be in each other's way.
    guard Set(names).count == names.count,
      names.allSatisfy({ !["", ".", "..", "all"].contains($0) && !$0.contains("/") })
    else { return nil }
    self = .listed(names)
  }
}
