import Foundation

extension Duration {
  /// In seconds.
  package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}

/// A time for people, such as "3 min 20 s".
package func spoken(_ seconds: Double) -> String {
  let seconds = Int(exactly: seconds.rounded()) ?? .max
  if seconds < 60 { return "\(seconds) s" }
  if seconds < 3600 { return "\(seconds / 60) min \(seconds % 60) s" }
  return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
}

/// A number with so many digits behind the point.
package func decimal(_ value: Double, digits: Int) -> String { String(format: "%.\(digits)f", value) }

/// A number of things, such as "1 image" or "3 images".
package func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
