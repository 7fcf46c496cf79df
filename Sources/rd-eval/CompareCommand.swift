import ArgumentParser
import Diagnostics
import Jobs
import Reports

/// Evaluations side by side.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare", abstract: "Compares evaluations with each other, or with the paper's figures.",
    usage: "rd-eval compare A B [C ...] [--paper] [--format text|markdown|csv|json]",
    discussion: """
      A, B, ... are folders that rd-eval wrote to, each for one test set or for several categories. Every measure of every category, and the mean over the \
      categories, is shown for each of them with its difference to the first, or to the paper's. For image metrics of the same images there is also the interval of the \
      difference in 95 of 100 samples with repetition from the images: where it holds 0, the difference may be there by the choice of test images.
      """)

  @Argument(help: ArgumentHelp("Folders that rd-eval wrote to.", valueName: "folder"), completion: .directory)
  var folders: [String]

  @Flag(help: "compare with the paper's means over MVTec AD (tables 1 and 2: WideResNet-50-2 at 256 pixels)")
  var paper = false

  @Option(help: ArgumentHelp("text, markdown, csv or json", valueName: "name"))
  var format = "text"

  func run() throws {
    guard folders.count > 1 || paper else {
      throw Failure(.usage, "compare: one folder has nothing to be compared with", hint: "give another, or --paper")
    }
    let form: Comparison.Form = try word(format, for: "--format")
    try writeResult(Comparison(folders.map(EvaluatedRun.init), withPaper: paper).written(as: form))
  }
}
