import ArgumentParser
import Diagnostics
import Foundation
import Imagery
import Jobs
import Reports

struct RDData: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rd-data", abstract: "Prepares data sets.", version: versionReport(tool: "rd-data"),
    subcommands: [Synthesize.self, Import.self, Audit.self])
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

  @Option(
    help: ArgumentHelp(
      "the kinds of defects, with commas between them: \(SyntheticDataSet.kinds.joined(separator: ", ")) (default: all)",
      valueName: "names"))
  var kinds: String?

  @Option(help: ArgumentHelp("how large the defects are, as a factor from 0.25 to 2", valueName: "factor"))
  var defectSize: Float = 1

  func run() throws {
    try SyntheticDataSet.write(
      to: folder, seed: seed, imageSize: imageSize, trainingCount: trainingCount, goodTestCount: goodTestCount,
      defectsPerKind: defectsPerKind, kinds: kinds?.split(separator: ",").map(String.init), defectSize: defectSize)
    try writeResult("\(folder)/\(SyntheticDataSet.category)\n")
  }
}

struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Makes data sets of one-class novelty detection from labelled pictures.",
    discussion: """
      SOURCE holds IDX files (MNIST, Fashion-MNIST; they may be compressed), the binary files of CIFAR-10, or a folder of pictures for each class \
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
    try writeResult(categories.map { "\(folder)/\($0)\n" }.joined())
  }
}

struct Audit: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Looks at all files of a data set: counts, sizes, and what is wrong.",
    discussion: """
      DATA is a folder in the layout of MVTec AD, MPDD, BTAD or VisA, or a CSV file (docs/data.md). Without --category all of its categories are looked at, \
      one after the other. Duplicates are files that are equal byte by byte; those that are both trained on and tested with make a test too good. The exit \
      status is 0 whatever is found.
      """)

  @Argument(help: "The data set.", completion: .directory)
  var data: String

  @Option(
    help: ArgumentHelp(
      "how its files lie: \(DataSet.Layout.allCases.map(\.rawValue).joined(separator: ", ")) (default: found out)",
      valueName: "name"))
  var layout: String?

  @Option(help: ArgumentHelp("one category only", valueName: "name"))
  var category: String?

  @Option(help: ArgumentHelp("text, or json: an array with an object for each category", valueName: "name"))
  var format = "text"

  @Option(
    help: ArgumentHelp("a PNG file to show a few images of each kind in, a row for each", valueName: "file"),
    completion: .file())
  var sheet: String?

  func run() throws {
    let format: AuditFormat = try word(format, for: "--format")
    let layout: DataSet.Layout? = try layout.map { try word($0, for: "--layout") }
    let dataSet = DataSet(data, layout: layout)
    let all = try category == nil ? Set(dataSet.categories()).union(dataSet.testedCategories()).sorted() : []
    let categories = all.isEmpty ? [category] : all.map { $0 }
    let console = Console(rank: 0)
    let audits = try categories.map { name in
      try DataSetAudit(of: dataSet, category: name) { done, total in
        console.progress(done, of: total, "\(name.map { "\($0): " } ?? "")image \(done)/\(total)")
      }
    }
    switch format {
    case .text: try writeResult(audits.map(\.text).joined(separator: "\n\n") + "\n")
    case .json:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      try writeResult(String(decoding: encoder.encode(audits), as: UTF8.self) + "\n")
    }
    if let sheet { try drawSheet(of: dataSet, categories).writePNG(to: sheet) }
  }

  /// A row for what is trained on, and for each kind of what is tested with.
  private func drawSheet(of dataSet: DataSet, _ categories: [String?]) throws -> Raster {
    let (columns, side) = (8, 128)
    let rows = categories.flatMap { category -> [[ImageEntry]] in
      let training = (try? dataSet.training(category: category, skipsUnreadable: true).images) ?? []
      let test = (try? dataSet.test(category: category)) ?? []
      let kinds = Dictionary(grouping: test, by: \.kind).sorted { $0.key < $1.key }
      return [training] + kinds.map { $0.value.map(\.image) }
    }
    let cells = rows.flatMap { row in
      let pictures = row.lazy.compactMap { try? ImageFile.decode($0.path) }.prefix(columns).map { picture in
        let longer = max(picture.width, picture.height)
        return picture.resized(
          width: max(1, picture.width * side / longer), height: max(1, picture.height * side / longer))
      }
      let empty = Raster(width: 1, height: 1, channels: 3, filledWith: 255)
      return pictures + [Raster](repeating: empty, count: columns - pictures.count)
    }
    return try contactSheet(cells, columns: columns)
  }
}

private enum AuditFormat: String, CaseIterable { case text, json }
