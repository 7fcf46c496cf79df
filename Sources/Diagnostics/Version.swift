/// The version of every tool of the package.
public let productVersion = "0.1.0"

/// What `--version` prints: the tool, its version, and the convolution engines of this build where they are known.
public func versionText(tool: String, engines: [String] = []) -> String {
  let built = engines.isEmpty ? "" : " (engines: \(engines.joined(separator: ", ")))"
  return "\(tool) \(productVersion)\(built)"
}
