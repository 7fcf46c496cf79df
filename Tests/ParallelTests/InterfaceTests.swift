import Diagnostics
import Foundation
import Numerics
import TestSupport
import Testing

private let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

extension ParallelTests {
  /// What the tools say of themselves, in the forms that shells, man and people read.
  @Suite struct Interfaces {
    /// What ArgumentParser tells of a command.
    struct Command: Decodable {
      struct Argument: Decodable {
        struct Name: Decodable {
          let kind: String
          let name: String
        }
        let names: [Name]?
        let shouldDisplay: Bool
      }
      let commandName: String
      let arguments: [Argument]?
      let subcommands: [Command]?

      /// The long options of it and of its subcommands.
      var options: [String] {
        let shown = (arguments ?? []).filter(\.shouldDisplay).flatMap { $0.names ?? [] }
        return shown.filter { $0.kind == "long" }.map { "--\($0.name)" } + (subcommands ?? []).flatMap(\.options)
      }
    }
    struct Dump: Decodable { let command: Command }

    private static func options(_ tool: String) throws -> [String] {
      let outcome = try ToolProcess.run(tool, ["--experimental-dump-help"])
      let options = try JSONDecoder().decode(Dump.self, from: Data(outcome.output.utf8)).command.options
      try #require(options.count >= 6, "\(options)")
      return options
    }

    /// `scripts/reference` writes them anew.
    @Test(arguments: ["rd-train", "rd-eval", "rd-data"])
    func theManPageHasEveryOption(tool: String) throws {
      let page = try String(contentsOf: package.appendingPathComponent("docs/man/\(tool).1"), encoding: .utf8)
      let text = page.replacing("\\-", with: "-")
      for option in try Self.options(tool) {
        #expect(text.contains(try Regex("\(option)(?![-a-z0-9])")), "\(option): run scripts/reference")
      }
      let documented = Set(text.matches(of: /(?m)^(?:-[a-z], )?(--[-a-z0-9]+)/).map { String($0.1) })
      let known = Set(try Self.options(tool))
      #expect(documented.subtracting(known).isEmpty, "no longer there: \(documented.subtracting(known))")
    }

    @Test(arguments: ["rd-train", "rd-eval", "rd-data"])
    func completionsHaveEveryOption(tool: String) throws {
      let options = try Self.options(tool)
      for shell in ["bash", "zsh", "fish"] {
        let outcome = try ToolProcess.run(tool, ["--generate-completion-script", shell])
        #expect(outcome.code == 0 && outcome.errors.isEmpty)
        for option in options where option != "--help" && option != "--version" {
          // Fish has the names without their dashes.
          let name = shell == "fish" ? String(option.dropFirst(2)) : option
          #expect(outcome.output.contains(name), "\(shell): \(option)")
        }
      }
    }

    @Test(arguments: ["rd-train", "rd-eval", "rd-data", "rd-bench"])
    func theVersionIsTheProductsWithThoseOfItsLibraries(tool: String) throws {
      let outcome = try ToolProcess.run(tool, ["--version"])
      #expect(outcome.code == 0 && outcome.errors.isEmpty)
      let lines = outcome.output.split(separator: "\n")
      let forms: [Regex<Substring>] = [
        /MPI: Open MPI v\d+\..*/, /HDF5: \d+\.\d+\.\d+/, /OpenBLAS: \d+\..*/,
        /libpng: 1\.\d+\.\d+/, /libjpeg-turbo: \d+\.\d+\.\d+ \(when built\)/, /libtiff: 4\.\d+\.\d+/,
        /libwebp: \d+\.\d+\.\d+/, /zlib: 1\..+/, /OpenSSL: 3\.\d+\.\d+/,
      ]
      try #require(lines.count == 2 + forms.count, "\(outcome.output)")
      #expect(lines[0] == "\(tool) \(productVersion)" && lines[1] == "processor: \(Instructions.best)")
      for (line, form) in zip(lines[2...], forms) { #expect(line.wholeMatch(of: form) != nil, "\(line)") }
    }

    @Test func everyExitStatusIsDocumented() throws {
      let text = try String(contentsOf: package.appendingPathComponent("docs/command-line.md"), encoding: .utf8)
      let documented = text.matches(of: /(?m)^\| (\d+) \|/).compactMap { Int32($0.1) }
      #expect(documented == (0...255).filter { ExitCode(rawValue: $0) != nil })
    }
  }
}
