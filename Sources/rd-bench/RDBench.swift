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
    version: versionText(tool: "rd-bench"), subcommands: [Peak.self, Layers.self, Step.self, Inference.self])
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
