import ArgumentParser
import Diagnostics
import Imagery
import Jobs

struct RDData: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rd-data", abstract: "Prepares data sets.", version: versionText(tool: "rd-data"),
    subcommands: [Synthesize.self, Import.self])
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

struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes data sets of one-class novelty detection from labelled pictures.",
    discussion: """
      SOURCE holds IDX files (MNIST, Fashion-MNIST; they may be compressed), the binary files of CIFAR-10, or a folder of PNG or JPEG pictures for each class \
      (Caltech-256). FOLDER gets a category for each class, in the layout of MVTec AD, in which this class is normal and all others are anomalous: \
      rd-train and rd-eval take them with --category all. Where the source has no split into training and test pictures, every second picture of a class is \
      for training.
      """)

  @Argument(help: "Folder of the labelled pictures.", completion: .directory)
  var source: String

  @Argument(help: "Where to write: a new or an empty folder.", completion: .directory)
  var folder: String

  @Option(
    help: ArgumentHelp(
      "the classes that are normal, with commas between them (default: each in turn)", valueName: "names"))
  var normal: String?

  @Option(help: ArgumentHelp("pictures of a class at the most, for training and for testing each", valueName: "n"))
  var limit: Int?

  func run() throws {
    if let limit, limit < 1 { throw Failure(.usage, "--limit \(limit): must be 1 or more") }
    let pictures = try LabelledPictures(at: source)
    let console = Console(rank: 0)
    if !pictures.isSplit { console.say("no split of its own: every second picture of a class is for training") }
    let categories = try NoveltyDataSet.write(
      pictures, to: folder, normal: normal?.split(separator: ",").map(String.init), limit: limit
    ) { done, total in console.progress(done, of: total, "category \(done)/\(total)") }
    for category in categories { print("\(folder)/\(category)") }
  }
}
