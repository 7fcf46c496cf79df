import ArgumentParser
import Diagnostics

/// The command line of rd-eval.
struct EvaluationTool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rd-eval",
    abstract: "Scores images with a trained checkpoint.",
    usage: """
      rd-eval [evaluate] RUN --data DIR [--category NAME] --output OUT [options]
      rd-eval compare A B [C ...] [--paper]
      """,
    discussion: """
      'evaluate' measures how well a labelled test set's defects are found; it is what rd-eval does where no subcommand is named. 'compare' holds such \
      results against each other. Their options: rd-eval evaluate --help, rd-eval compare --help.
      """,
    version: versionText(tool: "rd-eval"),
    subcommands: [EvaluationCommand.self, CompareCommand.self],
    defaultSubcommand: EvaluationCommand.self)
}
