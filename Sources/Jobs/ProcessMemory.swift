import Foundation

/// The physical memory of this process, in bytes.
package enum ProcessMemory {
  /// What it has now.
  package static var resident: Int { value("VmRSS") }
  /// The most that it has had.
  package static var peak: Int { value("VmHWM") }

  private static func value(_ name: String) -> Int {
    let line = kernelValue(of: name, in: "/proc/self/status")
    return (line?.split(separator: " ").first.flatMap { Int($0) } ?? 0) * 1024
  }
}

/// A line of a file of the kernel's, behind its name and a colon or blank.
func kernelValue(of name: String, in file: String) -> String? {
  guard let text = try? String(contentsOfFile: file, encoding: .utf8),
    let line = text.split(separator: "\n").first(where: { $0.hasPrefix("\(name):") || $0.hasPrefix("\(name) ") })
  else { return nil }
  return line.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces)
}
