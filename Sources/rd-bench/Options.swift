import ArgumentParser
import Collectives
import Diagnostics
import Distillation
import FileSystem
import Numerics
import Jobs

extension Backbone: ExpressibleByArgument {}
extension EngineKind: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}

struct CommonOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "threads of a rank (default: the allowed cores, divided by the ranks that share them)", valueName: "n"))
  var threads: Int?

  @Option(help: ArgumentHelp("a file for the results as JSON", valueName: "file"), completion: .file())
  var json: String?

  func validate() throws {
    if let threads { try requirePositive(threads, "--threads") }
  }

  /// Collective.
  func threadCount(over communicator: any Communicator) throws -> Int {
    let placement = try Placement(communicator)
    return threads ?? placement.threads
  }

  /// Prints the table, and writes the file where one is wanted.
  func publish(_ report: Report) throws {
    try writeResult(report.table + "\n")
    if let json { try writeFile(json, bytes: Array(report.json)) }
  }
}

struct ModelOptions: ParsableArguments {
  @Option(help: "the teacher's architecture")
  var backbone = Backbone.wideResNet50x2

  @Option(help: ArgumentHelp("side of the images", valueName: "pixels"))
  var size = 256

  @Option(help: "what computes the convolutions")
  var engine = EngineKind.vector

  @Option(help: "what its factors are rounded to")
  var precision = Precision.fp32

  func validate() throws {
    guard size > 0, size % 32 == 0 else { throw ValidationError("--size \(size): must be a multiple of 32") }
  }

  func startEngine(on team: ThreadTeam) throws -> any ConvolutionEngine {
    try engine.start(on: team, precision: precision)
  }

  var architecture: Architecture { Architecture(ModelConfiguration(backbone: backbone, imageSize: size)) }
}

struct TrainingOptions: ParsableArguments {
  @Option(help: ArgumentHelp("images of a step, on all ranks together", valueName: "n"))
  var batch = 16

  @Option(help: ArgumentHelp("logical shards, on all ranks together", valueName: "n"))
  var shards = 8

  func validate() throws {
    try requirePositive(batch, "--batch")
    try requirePositive(shards, "--shards")
  }
}

struct TimingOptions: ParsableArguments {
  @Option(help: ArgumentHelp("runs before the clock starts", valueName: "n"))
  var warmup = 2

  @Option(help: ArgumentHelp("timed runs", valueName: "n"))
  var steps = 10

  func validate() throws {
    guard warmup >= 0 else { throw ValidationError("--warmup \(warmup): must be 0 or more") }
    try requirePositive(steps, "--steps")
  }
}

func requirePositive(_ value: Int, _ option: String) throws {
  guard value > 0 else { throw ValidationError("\(option) \(value): must be 1 or more") }
}
