/// The version of every tool of the package.
public let productVersion = "0.1.0"

/// The tool and its version, as files that it writes name it.
public func versionText(tool: String) -> String { "\(tool) \(productVersion)" }
