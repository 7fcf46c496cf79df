/// The version of every tool of the package.
public let productVersion = "0.1.0"

/// What `--version` prints: the tool and its version.
public func versionText(tool: String) -> String { "\(tool) \(productVersion)" }
