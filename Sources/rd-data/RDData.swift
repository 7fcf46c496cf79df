import ArgumentParser
import Diagnostics
import Imagery

struct RDData: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rd-data", abstract: "Prepares data sets.", version: versionText(tool: "rd-data"),
    subcommands: [Synthesize.self])
}

struct Synthesize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes a small data set of cloth with defects, in the layout of MVTec AD.",
    discussion: """
      It is for trying the tools out: FOLDER/\(SyntheticDataSet.category) then holds train/good, test/KIND and \
      ground_truth/KIND, with exact masks. The same options give the same pictures.
      """)

  @Argument(help: "Where to write it: a new or an empty folder.")
  var folder: String

  @Option(help: "What the pictures depend on.")
  var seed: UInt64 = 1

  @Option(help: "The side of the square pictures, in pixels.")
  var imageSize = 256

  @Option(name: .customLong("train"), help: "How many normal pictures to train on.")
  var trainingCount = 40

  @Option(name: .customLong("test-good"), help: "How many normal pictures to test with.")
  var goodTestCount = 8

  @Option(name: .customLong("test-defects"), help: "How many defective pictures to test with, of each kind.")
  var defectsPerKind = 6

  func run() throws {
    try SyntheticDataSet.write(
      to: folder, seed: seed, imageSize: imageSize, trainingCount: trainingCount, goodTestCount: goodTestCount,
      defectsPerKind: defectsPerKind)
    print("\(folder)/\(SyntheticDataSet.category)")
  }
}
