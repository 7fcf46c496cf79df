import ArgumentParser
import Collectives
import Diagnostics
import Evaluation
import Foundation
import Jobs

/// `rd-eval predict`.
struct PredictionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Judges images: normal or anomalous, and where.",
    usage: """
      rd-eval predict RUN_OR_CHECKPOINT IMAGE_OR_FOLDER... [--output OUT] [options]
      find parts -name '*.png' | rd-eval predict RUN - --format jsonl
      """,
    discussion: """
      Standard output gets a line for every image: its path, the verdict, the score, the probability that a normal image scores as high, and the anomalous \
      regions in pixels of the image (CSV has the one with the highest peak, JSON lines have all). OUT gets a picture of each, with heat map and outlines. \
      What is said about the run goes to standard error.

      The exit status is 0, whatever the verdicts. With --exit-code it is 1 where an image is anomalous. An image that cannot be read is named and does not stop \
      the others; at the end the exit status is 65.
      """)

  @OptionGroup var detector: DetectorArguments

  @Argument(
    help:
      "images (PNG, JPEG, TIFF, BMP or WebP), folders with all images in them and below, and - for a list of these on standard input"
  )
  var images: [String]

  @Option(
    help: ArgumentHelp("folder for the pictures; without it none are made", valueName: "folder"), completion: .directory
  )
  var output: String?

  @Option(help: ArgumentHelp("the lines of standard output: csv or jsonl", valueName: "name"))
  var format = "csv"

  @OptionGroup var threshold: ThresholdArguments

  @Option(
    help: ArgumentHelp(
      "the value of the anomaly map to which regions go (default: what one in a thousand pixels of normal images reaches)",
      valueName: "value"))
  var pixelThreshold: Double?

  @Flag(help: "exit with 1 where an image is anomalous")
  var exitCode = false

  func run() throws {
    if let pixelThreshold, !pixelThreshold.isFinite {
      throw Failure(.usage, "--pixel-threshold \(pixelThreshold): must be a number")
    }
    let options = PredictionOptions(
      try detector.options(), threshold: try threshold.choice(), pixelThreshold: pixelThreshold, output: output,
      format: try word(format, for: "--format"))
    let communicator = try MPICommunicator.start()
    try runJob(tool: "rd-eval", over: communicator) {
      let console = Console(rank: communicator.rank, detector.verbosity)
      let counts = try Predictor(options, over: communicator, console: console).predict(
        images, write: writeResult)
      console.say(
        "\(counts.pictures) images: \(counts.anomalous) anomalous, "
          + "\(counts.pictures - counts.anomalous - counts.unreadable) normal, \(counts.unreadable) unreadable")
      if counts.unreadable > 0 {
        throw Failure(
          .badData, "\(counts.unreadable) of \(counts.pictures) images could not be read",
          hint: "the messages above say why", isOnAllRanks: true)
      }
      if exitCode, counts.anomalous > 0 {
        throw Failure(.anomalous, "\(counts.anomalous) of \(counts.pictures) images are anomalous", isOnAllRanks: true)
      }
    }
  }
}
