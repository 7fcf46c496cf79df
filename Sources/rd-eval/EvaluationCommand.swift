import ArgumentParser
import Collectives
import Diagnostics
import Distillation
import Evaluation
import Jobs
import Training

/// `rd-eval evaluate`, or rd-eval where nothing is named.
struct EvaluationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Scores test images with a trained checkpoint and measures how well that finds the defects.",
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

  @Argument(
    help: """
      The folder that rd-train wrote to, whose newest valid checkpoint is taken, or a checkpoint. For several categories the folder that holds one such \
      folder for each.
      """)
  var checkpoint: String

  @Option(
    help: ArgumentHelp("folder of the data set, in the layout of MVTec AD", valueName: "folder"), completion: .directory
  )
  var data: String

  @Option(
    help: ArgumentHelp(
      "subfolder of the data set to evaluate on; several with commas between them, or all", valueName: "name"))
  var category: String?

  @Option(help: ArgumentHelp("folder for the results", valueName: "folder"), completion: .directory)
  var output: String

  @Option(
    help: ArgumentHelp("the teacher's weights, where the checkpoint holds only their hash", valueName: "file"),
    completion: .file())
  var teacher: String?

  @Option(
    help: ArgumentHelp(
      "the scales whose maps are added: \(ScoredScales.accepted.joined(separator: ", "))", valueName: "scales"))
  var scales = "M1+M2+M3"

  @Option(
    help: ArgumentHelp("an image's score: the largest value of its map (max), or the sum (sum)", valueName: "name"))
  var score = "max"

  @Option(help: ArgumentHelp("what computes the convolutions: vector or openblas", valueName: "name"))
  var engine = "vector"

  @Option(help: ArgumentHelp("what its factors are rounded to: fp32 or bf16", valueName: "name"))
  var precision = "fp32"

  @Option(
    help: ArgumentHelp(
      "threads of a rank (default: the allowed cores, divided by the ranks that share them)", valueName: "n"))
  var threads: Int?

  func run() throws {
    guard let categories = CategorySelection(category) else {
      throw Failure(.usage, "--category \(category ?? ""): must be a name, different names with commas, or all")
    }
    let options = EvaluationOptions(
      checkpoint: checkpoint, data: data, category: category, output: output, teacher: teacher,
      scales: try ScoredScales(scales), score: try word(score, for: "--score"),
      engine: try word(engine, for: "--engine"), precision: try word(precision, for: "--precision"), threads: threads)
    if let threads, !(1...1024).contains(threads) {
      throw Failure(.usage, "--threads \(threads): must be from 1 to 1024")
    }
    let communicator = try MPICommunicator.start()
    try runJob(tool: "rd-eval", over: communicator) {
      let console = Console(rank: communicator.rank)
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

  private func word<Word: RawRepresentable & CaseIterable>(_ text: String, for option: String) throws -> Word
  where Word.RawValue == String {
    if let word = Word(rawValue: text) { return word }
    let words = Word.allCases.map(\.rawValue)
    throw Failure(
      .usage, "\(option) \(text): must be \(words.joined(separator: " or "))",
      hint: suggestion(for: text, among: words).map { "did you mean \($0)?" })
  }
}
