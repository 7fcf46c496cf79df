import ArgumentParser
import Diagnostics
import Jobs

/// The command line of rd-eval.
struct EvaluationTool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rd-eval",
    abstract: "Scores images with a trained checkpoint.",
    usage: """
      rd-eval [evaluate] RUN --data DIR [--category NAME] --output OUT [options]
      rd-eval predict RUN IMAGE_OR_FOLDER... [--output OUT] [options]
      rd-eval compare A B [C ...] [--paper]
      rd-eval export RUN FILE.onnx|FILE.pth|FILE.safetensors
      rd-eval import FILE RUN --teacher FILE
      """,
    discussion: """
      'evaluate' measures how well a labelled test set's defects are found; it is what rd-eval does where no subcommand is named. 'predict' judges images of \
      which nothing is known. 'compare' holds evaluations against each other. 'export' and 'import' exchange trained models with other \
      programs. Their options: rd-eval evaluate --help and so on. The first two run under mpirun too, and give the same results there.
      """,
    version: versionReport(tool: "rd-eval"),
    subcommands: [
      EvaluationCommand.self, PredictionCommand.self, CompareCommand.self, ExportCommand.self, ImportCommand.self,
    ],
    defaultSubcommand: EvaluationCommand.self)
}
