import ArgumentParser
import Collectives
import Diagnostics
import Jobs
import Training

/// The command line of rd-train: every key of the configuration as an option. Values are taken as words; the configuration judges them, so
/// that all that is wrong is said at once.
struct TrainingOptions: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rd-train",
    abstract: "Trains a reverse-distillation anomaly detector on images of normal parts.",
    usage: """
      rd-train --data DIR [--category NAME[,NAME...]] --teacher FILE --output RUN [options]
      mpirun -n 8 rd-train [--config FILE] [options]
      """,
    discussion: """
      Defaults are the paper's settings. A TOML file says the same things with underscores for dashes (cluster/rd-train.toml is an \
      example), and options override it. Without --config, rd-train.toml in the current folder is read if it exists.
      """,
    version: versionReport(tool: "rd-train"))

  @Option(
    help: ArgumentHelp("a TOML file with the same keys (default: rd-train.toml, if it exists)", valueName: "file"))
  var config: String?

  @Flag var verbosity: Verbosity?

  @Flag(help: "do not train: print the configuration, and where each value comes from")
  var printConfig = false

  @Flag(help: ArgumentHelp("print docs/configuration.md", visibility: .private))
  var printReference = false

  @OptionGroup(title: "Data") var data: DataOptions
  @OptionGroup(title: "Model") var model: ModelOptions
  @OptionGroup(title: "Optimisation") var optimisation: OptimisationOptions
  @OptionGroup(title: "Execution") var execution: ExecutionOptions
  @OptionGroup(title: "Checkpoints") var checkpoints: CheckpointOptions
  @OptionGroup(title: "Evaluation on the way") var evaluation: EvaluationOptions
  @OptionGroup(title: "Logs") var logs: LogOptions
  @OptionGroup(title: "Planning") var planning: PlanningOptions

  func run() throws {
    if printReference { return try writeResult(TrainingConfiguration.reference) }
    let groups = [
      data.words, model.words, optimisation.words, execution.words, checkpoints.words, evaluation.words,
      logs.words,
    ]
    let options = groups.joined().compactMap { key, word in word.map { (key, $0) } }
    let (configuration, origins) = try TrainingConfiguration.resolve(
      file: config, options: Dictionary(uniqueKeysWithValues: options))
    if printConfig {
      guard LaunchEnvironment.current.rank == 0 else { return }
      try writeResult(configuration.toml(origins: origins))
    } else if planning.plan {
      try PlanningCommand.run(configuration, planning)
    } else {
      try TrainingCommand.run(configuration, verbosity)
    }
  }
}

/// The words given for some keys.
typealias GivenWords = [(TrainingConfiguration.Key, String?)]

struct DataOptions: ParsableArguments {
  @Option(help: .of(.data, "folder"), completion: .directory) var data: String?
  @Option(help: .of(.layout, "name"), completion: .words(of: .layout)) var layout: String?
  @Option(help: .of(.normal, "folder"), completion: .directory) var normal: String?
  @Option(help: .of(.anomalous, "folder"), completion: .directory) var anomalous: String?
  @Option(help: .of(.masks, "folder"), completion: .directory) var masks: String?
  @Option(help: .of(.category, "names")) var category: String?
  @Flag(inversion: .prefixedNo, help: .of(.skipUnreadable)) var skipUnreadable: Bool?
  @Option(help: .of(.output, "folder"), completion: .directory) var output: String?
  @Option(help: .of(.validationFraction, "share")) var validationFraction: String?

  var words: GivenWords {
    [
      (.data, data), (.layout, layout), (.normal, normal), (.anomalous, anomalous), (.masks, masks),
      (.category, category),
      (.skipUnreadable, skipUnreadable.map(String.init)), (.output, output),
      (.validationFraction, validationFraction),
    ]
  }
}

struct ModelOptions: ParsableArguments {
  @Option(help: .of(.teacher, "file"), completion: .file()) var teacher: String?
  @Option(help: .of(.backbone, "name"), completion: .words(of: .backbone)) var backbone: String?
  @Option(help: .of(.preset, "name"), completion: .words(of: .preset)) var preset: String?
  @Option(help: .of(.loss, "name"), completion: .words(of: .loss)) var loss: String?
  @Option(help: .of(.fusion, "name"), completion: .words(of: .fusion)) var fusion: String?
  @Option(help: .of(.bottleneck, "name"), completion: .words(of: .bottleneck)) var bottleneck: String?
  @Option(help: .of(.imageSize, "pixels")) var imageSize: String?
  @Option(help: .of(.fit, "name"), completion: .words(of: .fit)) var fit: String?
  @Option(help: .of(.tiles, "number")) var tiles: String?

  var words: GivenWords {
    [
      (.teacher, teacher), (.backbone, backbone), (.preset, preset), (.loss, loss), (.fusion, fusion),
      (.bottleneck, bottleneck), (.imageSize, imageSize), (.fit, fit), (.tiles, tiles),
    ]
  }
}

struct OptimisationOptions: ParsableArguments {
  @Option(help: .of(.epochs, "n")) var epochs: String?
  @Option(help: .of(.maxSteps, "n")) var maxSteps: String?
  @Option(help: .of(.batchSize, "n")) var batchSize: String?
  @Option(help: .of(.learningRate, "rate")) var learningRate: String?
  @Option(name: .customLong("adam-beta1"), help: .of(.adamBeta1, "decay")) var adamBeta1: String?
  @Option(name: .customLong("adam-beta2"), help: .of(.adamBeta2, "decay")) var adamBeta2: String?
  @Option(help: .of(.seed, "n")) var seed: String?
  @Option(help: .of(.logicalShards, "n")) var logicalShards: String?

  var words: GivenWords {
    [
      (.epochs, epochs), (.maxSteps, maxSteps), (.batchSize, batchSize), (.learningRate, learningRate),
      (.adamBeta1, adamBeta1), (.adamBeta2, adamBeta2), (.seed, seed), (.logicalShards, logicalShards),
    ]
  }
}

struct ExecutionOptions: ParsableArguments {
  @Option(help: .of(.threads, "n")) var threads: String?
  @Option(help: .of(.engine, "name"), completion: .words(of: .engine)) var engine: String?
  @Option(help: .of(.precision, "name"), completion: .words(of: .precision)) var precision: String?
  @Option(help: .of(.featureCache, "amount")) var featureCache: String?
  @Option(help: .of(.endTime, "time")) var endTime: String?
  @Option(help: .of(.stallTimeout, "time")) var stallTimeout: String?
  @Option(help: .of(.ranksPerCategory, "n")) var ranksPerCategory: String?

  var words: GivenWords {
    [
      (.threads, threads), (.engine, engine), (.precision, precision), (.featureCache, featureCache),
      (.endTime, endTime), (.stallTimeout, stallTimeout), (.ranksPerCategory, ranksPerCategory),
    ]
  }
}

struct CheckpointOptions: ParsableArguments {
  @Option(help: .of(.resume, "what"), completion: .file()) var resume: String?
  @Option(help: .of(.checkpointEvery, "interval")) var checkpointEvery: String?
  @Option(help: .of(.keepCheckpoints, "n")) var keepCheckpoints: String?
  @Flag(inversion: .prefixedNo, help: .of(.embedTeacher)) var embedTeacher: Bool?
  @Option(help: .of(.statistics, "when"), completion: .words(of: .statistics)) var statistics: String?

  var words: GivenWords {
    [
      (.resume, resume), (.checkpointEvery, checkpointEvery), (.keepCheckpoints, keepCheckpoints),
      (.embedTeacher, embedTeacher.map(String.init)), (.statistics, statistics),
    ]
  }
}

struct EvaluationOptions: ParsableArguments {
  @Option(help: .of(.evaluateEvery, "interval")) var evaluateEvery: String?
  @Option(help: .of(.evaluationData, "folder"), completion: .directory) var evaluationData: String?
  @Option(help: .of(.bestBy, "what"), completion: .words(of: .bestBy)) var bestBy: String?
  @Option(help: .of(.earlyStop, "n")) var earlyStop: String?

  var words: GivenWords {
    [
      (.evaluateEvery, evaluateEvery), (.evaluationData, evaluationData), (.bestBy, bestBy), (.earlyStop, earlyStop),
    ]
  }
}

struct LogOptions: ParsableArguments {
  @Option(help: .of(.metricsFile, "file"), completion: .file()) var metricsFile: String?
  @Option(help: .of(.trace, "file"), completion: .file()) var trace: String?

  var words: GivenWords { [(.metricsFile, metricsFile), (.trace, trace)] }
}

/// How a plan is written.
enum PlanFormat: String, CaseIterable, ExpressibleByArgument {
  /// For people.
  case text
  /// For programs.
  case json
}

struct PlanningOptions: ParsableArguments {
  @Flag(help: "do not train: say what the run would take, in memory, communication and time (docs/scaling.md)")
  var plan = false

  @Option(
    help: ArgumentHelp(
      "with --plan: ranks of the run, on hosts that run as many as are started here (default: those)", valueName: "n"))
  var planRanks: Int?

  @Option(
    help: ArgumentHelp(
      "with --plan: a network to predict for, as \"latency 50us, bandwidth 10Gbit/s\"; may be repeated",
      valueName: "link"))
  var network: [String] = []

  @Option(help: ArgumentHelp("with --plan: text, or json for programs", valueName: "name"))
  var format = PlanFormat.text

  func validate() throws {
    guard plan || planRanks == nil && network.isEmpty && format == .text else {
      throw ValidationError("--plan-ranks, --network and --format are for plans: they need --plan")
    }
    if let planRanks, planRanks < 1 { throw ValidationError("--plan-ranks \(planRanks): must be 1 or more") }
  }
}

extension ArgumentHelp {
  fileprivate static func of(_ key: TrainingConfiguration.Key, _ valueName: String? = nil) -> ArgumentHelp {
    ArgumentHelp(key.help, valueName: valueName)
  }
}

extension CompletionKind {
  fileprivate static func words(of key: TrainingConfiguration.Key) -> CompletionKind { .list(key.words) }
}
