import ArgumentParser
import Collectives
import Diagnostics
import Distillation
import Evaluation
import Imagery
import Jobs
import Metrics
import Training

/// `rd-eval evaluate`, or rd-eval where nothing is named.
struct EvaluationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Scores the images of a test set and measures how well that finds the defects.",
    usage: """
      rd-eval RUN_OR_CHECKPOINT --data DIR [--category NAME] --output OUT [options]
      mpirun -n 8 rd-eval RUN_OR_CHECKPOINT --data DIR --output OUT
      rd-eval RUNS --data DIR --category all --output OUT
      """,
    discussion: """
      OUT gets report.html, metrics.json, scores.csv, overview.png, and in maps/ a picture for every image, on one scale for all of them, and the raw maps in maps.h5. \
      The numbers do not depend on the number of ranks. The maps of a large set need not fit into memory: while rd-eval runs it needs 8 bytes on the disk of OUT \
      for every pixel of them.

      With several categories RUNS/NAME is the run of the category NAME and OUT/NAME gets its results; OUT also gets a table of all of them, as report.html, \
      table.json, table.csv and table.md. A category that cannot be evaluated does not stop the others; the exit status is that of the first.
      """)

  @OptionGroup var detector: DetectorArguments

  @OptionGroup var dataSet: DataSetArguments

  @Option(
    help: ArgumentHelp(
      "part of the data set to evaluate on, where it has several; some with commas between them, or all",
      valueName: "name"))
  var category: String?

  @Option(help: ArgumentHelp("folder for the results", valueName: "folder"), completion: .directory)
  var output: String

  @OptionGroup var threshold: ThresholdArguments

  @Option(
    help: ArgumentHelp(
      "where the threshold of verdicts comes from: normals, the checkpoint's normal images, or f1, the best F1 on the test labels (verdicts on this set are then too good)",
      valueName: "what"))
  var thresholdFrom = "normals"

  @Option(
    help: ArgumentHelp(
      "how long ranks wait for one that does nothing before the job ends: off, or a time such as 10 min",
      valueName: "time"))
  var stallTimeout = "10 min"

  func run() throws {
    guard let categories = CategorySelection(category) else {
      throw Failure(.usage, "--category \(category ?? ""): must be a name, different names with commas, or all")
    }
    let options = EvaluationOptions(
      try detector.options(), threshold: try thresholdChoice(), dataSet: try dataSet.dataSet(), dataName: dataSet.name,
      category: category, output: output)
    guard let stallTimeout = TrainingConfiguration.StallTimeout(stallTimeout) else {
      throw Failure(.usage, "--stall-timeout \(stallTimeout): must be off, or a time such as 10 min, 30 s or 2 h")
    }
    let communicator = try MPICommunicator.start()
    try runJob(tool: "rd-eval", over: communicator) {
      try communicator.watch(stallTimeout: stallTimeout.duration)
      let console = Console(rank: communicator.rank, detector.verbosity)
      switch categories {
      case .single:
        try Evaluator(options, over: communicator, console: console).evaluate()
      case .listed(let names):
        try CategoryEvaluation(options, categories: names, over: communicator, console: console).evaluate()
      case .all:
        try CategoryEvaluation(options, categories: nil, over: communicator, console: console).evaluate()
      }
    }
  }

  private func thresholdChoice() throws -> ThresholdChoice {
    let choice = try threshold.choice()
    switch try word(thresholdFrom, for: "--threshold-from") as ThresholdOrigin {
    case .normals: return choice
    case .f1:
      guard threshold.falseAlarmRate == nil, threshold.threshold == nil else {
        throw Failure(.usage, "--threshold-from f1 takes neither --false-alarm-rate nor --threshold")
      }
      return .f1OfTestLabels
    }
  }
}

private enum ThresholdOrigin: String, CaseIterable { case normals, f1 }
