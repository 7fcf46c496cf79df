import ArgumentParser
import Collectives
import Diagnostics
import Distillation
import Jobs
import Numerics
import Training

struct RDBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rd-bench",
    abstract: "Measures how fast training and inference are here, and how near to what the machine can do.",
    discussion:
      "Weights and images are random. docs/benchmarks.md says what the rows mean; scripts/bench runs everything.",
    version: versionReport(tool: "rd-bench"),
    subcommands: [Peak.self, Layers.self, Step.self, Inference.self, TestSetMetrics.self])
}

struct Peak: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "The machine's own peak: matrix products on all cores, and memory bandwidth.")

  @OptionGroup var common: CommonOptions

  func run() throws {
    let team = ThreadTeam(count: try common.threadCount(over: LocalCommunicator()))
    defer { team.finish() }
    var report = Report("peak", Settings(threads: team.count))
    try report.measurePeak(on: team)
    report.copyGigabytesPerSecond = try measureCopyBandwidth(on: team)
    try common.publish(report)
  }
}

struct Layers: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "The passes of every distinct convolution of teacher and student.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var training: TrainingOptions
  @OptionGroup var common: CommonOptions

  @Option(help: ArgumentHelp("timed runs of each pass, after one that is not", valueName: "n"))
  var repeats = 5

  func run() throws {
    try requirePositive(repeats, "--repeats")
    let team = ThreadTeam(count: try common.threadCount(over: LocalCommunicator()))
    defer { team.finish() }
    var report = Report("layers", Settings(model, training, threads: team.count))
    try measureLayers(
      model.architecture, engine: try model.startEngine(on: team), batch: training.batch, shards: training.shards,
      repeats: repeats, into: &report)
    try report.measurePeak(on: team)
    try common.publish(report)
  }
}

struct Step: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "A training step, alone or as the ranks of an mpirun job.",
    discussion: """
      With the feature cache, as in every epoch but the first, the teacher's features are copied; without it the \
      teacher looks at the images in every step.
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var training: TrainingOptions
  @OptionGroup var timing: TimingOptions
  @OptionGroup var common: CommonOptions

  @Flag(inversion: .prefixedNo, help: "keep the teacher's features, or not")
  var featureCache = true

  func run() throws {
    let communicator = try MPICommunicator.start()
    try runJob(tool: "rd-bench", over: communicator) {
      let team = ThreadTeam(count: try common.threadCount(over: communicator))
      defer { team.finish() }
      var settings = Settings(model, training, threads: team.count)
      settings.ranks = communicator.size
      settings.featureCache = featureCache
      var report = Report("step", settings)
      let benchmark = try communicator.agree {
        try StepBenchmark(model, training, keepsFeatures: featureCache, team: team, communicator: communicator)
      }
      try benchmark.measure(timing, into: &report)
      try report.measurePeak(on: team, over: communicator)
      if communicator.rank == 0 { try common.publish(report) }
    }
  }
}

struct Inference: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "One image from pixels to score: teacher, student, anomaly map, blur, maximum.")

  @OptionGroup var model: ModelOptions
  @OptionGroup var timing: TimingOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    let team = ThreadTeam(count: try common.threadCount(over: LocalCommunicator()))
    defer { team.finish() }
    var report = Report("inference", Settings(model, threads: team.count))
    try measureInference(model, team: team, timing, into: &report)
    try report.measurePeak(on: team)
    try common.publish(report)
  }
}

struct TestSetMetrics: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "metrics", abstract: "The metrics of a test set from its maps and masks in memory, on one core.",
    discussion:
      "Pixels go the way of a large set: sorted in pieces, through a scratch file in the folder for temporary files.")

  @Option(help: ArgumentHelp("test images, a quarter of them normal", valueName: "n"))
  var images = 83

  @Option(help: ArgumentHelp("side of the maps", valueName: "pixels"))
  var size = 256

  @Option(help: ArgumentHelp("what the pixels may take in memory", valueName: "MiB"))
  var memory = 256

  @Option(help: ArgumentHelp("timed runs", valueName: "n"))
  var repeats = 3

  @OptionGroup var common: CommonOptions

  func validate() throws {
    try requirePositive(images, "--images")
    try requirePositive(size, "--size")
    try requirePositive(memory, "--memory")
    try requirePositive(repeats, "--repeats")
  }

  func run() throws {
    let team = ThreadTeam(count: 1)
    defer { team.finish() }
    var settings = Settings(threads: team.count)
    settings.size = size
    settings.images = images
    var report = Report("metrics", settings)
    try measureMetrics(images: images, size: size, memory: memory << 20, repeats: repeats, into: &report)
    try report.measurePeak(on: team)
    try common.publish(report)
  }
}
