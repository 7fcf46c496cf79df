import Distillation
import Imagery
import Numerics

extension TrainingConfiguration {
  /// The keys of the configuration, in the order in which they are rendered; the raw value is the name in files.
  public enum Key: String, CaseIterable, Sendable {
    case data, layout, normal, anomalous, masks, category
    case skipUnreadable = "skip_unreadable"
    case output
    case validationFraction = "validation_fraction"
    case teacher, backbone, preset, loss, fusion, bottleneck
    case imageSize = "image_size"
    case fit, tiles
    case epochs
    case maxSteps = "max_steps"
    case batchSize = "batch_size"
    case learningRate = "learning_rate"
    case adamBeta1 = "adam_beta1"
    case adamBeta2 = "adam_beta2"
    case seed
    case logicalShards = "logical_shards"
    case threads, engine, precision
    case featureCache = "feature_cache"
    case endTime = "end_time"
    case stallTimeout = "stall_timeout"
    case ranksPerCategory = "ranks_per_category"
    case resume
    case checkpointEvery = "checkpoint_every"
    case keepCheckpoints = "keep_checkpoints"
    case embedTeacher = "embed_teacher"
    case statistics
    case evaluateEvery = "evaluate_every"
    case evaluationData = "evaluation_data"
    case bestBy = "best_by"
    case earlyStop = "early_stop"
    case metricsFile = "metrics_file"
    case trace

    /// The command-line option of the same meaning.
    public var option: String { "--" + rawValue.replacing("_", with: "-") }

    /// What `--help` says: meaning, accepted values and default.
    public var help: String {
      let setting = setting
      let ending = isRequired ? "required" : "default: \(setting.shown(in: .draft))"
      return "\(setting.meaning) (\(setting.accepted); \(ending))"
    }

    /// The words that the key takes, where it takes a few words only.
    public var words: [String] { setting.words }

    /// Whether there is no default.
    var isRequired: Bool { self == .data || self == .teacher || self == .output }
  }

  /// The defaults, with nothing in the places that have none.
  package static let draft = TrainingConfiguration(data: "", teacher: "", output: "")
}

extension TrainingConfiguration.Key {
  /// The sections of the rendered configuration and of `--help`.
  var section: String {
    switch self {
    case .data, .layout, .normal, .anomalous, .masks, .category: "Data"
    case .skipUnreadable, .output, .validationFraction: "Data"
    case .teacher, .backbone, .preset, .loss, .fusion, .bottleneck, .imageSize, .fit, .tiles: "Model"
    case .epochs, .maxSteps, .batchSize, .learningRate, .adamBeta1, .adamBeta2, .seed, .logicalShards: "Optimisation"
    case .threads, .engine, .precision, .featureCache, .endTime, .stallTimeout, .ranksPerCategory: "Execution"
    case .resume, .checkpointEvery, .keepCheckpoints, .embedTeacher, .statistics: "Checkpoints"
    case .evaluateEvery, .evaluationData, .bestBy, .earlyStop: "Evaluation on the way"
    case .metricsFile, .trace: "Logs"
    }
  }

  /// Whether the value decides what is computed in a step: these keys are stored in the checkpoint, and a run that resumes must have them
  /// equal. The preset is not among them, because loss and fusion are; nor are data and teacher, which are compared by their content.
  var definesComputation: Bool {
    switch self {
    case .backbone, .loss, .fusion, .bottleneck, .imageSize, .fit, .tiles: true
    case .batchSize, .learningRate, .adamBeta1, .adamBeta2, .seed, .logicalShards, .engine, .precision: true
    case .validationFraction: true
    case .data, .layout, .normal, .anomalous, .masks, .category: false
    case .skipUnreadable, .output, .teacher, .preset, .epochs, .maxSteps: false
    case .threads, .featureCache, .endTime, .stallTimeout, .ranksPerCategory: false
    case .resume, .checkpointEvery, .keepCheckpoints, .embedTeacher, .statistics: false
    case .evaluateEvery, .evaluationData, .bestBy, .earlyStop, .metricsFile, .trace: false
    }
  }

  /// Meaning, accepted values, and how the value is read and written.
  var setting: Setting {
    switch self {
    case .data:
      Setting(
        \.data, "folder of the data set, or its table (docs/data.md)", "a folder or a CSV file", valid: { !$0.isEmpty })
    case .layout:
      Setting(\.layout, "how the files of the data set lie", otherwise: "found out")
    case .normal:
      Setting(
        \.normal, "instead of data: folder of normal images", "a folder", otherwise: "none", valid: { !$0.isEmpty })
    case .anomalous:
      Setting(
        \.anomalous,
        "with normal: folder of anomalous images to test with; every fifth normal image then is for that too",
        "a folder", otherwise: "none", valid: { !$0.isEmpty })
    case .masks:
      Setting(
        \.masks, "with anomalous: folder of masks of the same names", "a folder", otherwise: "none",
        valid: { !$0.isEmpty })
    case .category:
      Setting(
        \.category, "part of the data set to train on, where it has several",
        "a name, several with commas between them, or all", otherwise: "none",
        valid: { CategorySelection($0) != nil })
    case .skipUnreadable:
      Setting(
        \.skipUnreadable, "leave images out that cannot be read, and list them; otherwise one ends the run",
        "true or false", valid: { _ in true })
    case .output:
      Setting(\.output, "folder for the configuration, the log and the checkpoints", "a folder", valid: { !$0.isEmpty })
    case .validationFraction:
      Setting(
        \.validationFraction,
        "share of the normal images to hold out of training: thresholds come from their scores",
        "a number from 0 to below 1", valid: { (0..<1).contains($0) })
    case .teacher:
      Setting(\.teacher, "the teacher's weights", "a file, or random:SEED for an untrained one", valid: isTeacher)
    case .backbone:
      Setting(\.backbone, "architecture of the teacher, mirrored by the student")
    case .preset:
      Setting(\.preset, "the authors' released code, or the text of the paper: sets loss and fusion")
    case .loss:
      Setting(\.loss, "cosine over an image's whole feature map, or at every pixel", otherwise: "as the preset says")
    case .fusion:
      Setting(\.fusion, "what the one-class embedding gets of the three scales", otherwise: "as the preset says")
    case .bottleneck:
      Setting(\.bottleneck, "what stands between teacher and student")
    case .imageSize:
      Setting(
        \.imageSize, "height and width of what the network sees of an image, or of its tiles, in pixels",
        "a multiple of 32, from 32 to 16384",
        valid: { (32...16384).contains($0) && $0 % 32 == 0 })
    case .fit:
      Setting(\.fit, "how images that are not square are brought to that: scaled apart, or padded")
    case .tiles:
      Setting(
        \.tiles,
        "cut images into so many tiles each way, which overlap by a quarter",
        "a number from 1 to 64", valid: { (1...64).contains($0) })
    case .epochs:
      Setting(\.epochs, "passes over the training images", count, valid: isCount)
    case .maxSteps:
      Setting(\.maxSteps, "end after this many steps", count, otherwise: "no limit", valid: isCount)
    case .batchSize:
      Setting(\.batchSize, "images of a step, or tiles of images, over all ranks", count, valid: isCount)
    case .learningRate:
      Setting(\.learningRate, "learning rate of Adam", "a number above 0", valid: { $0 > 0 && $0.isFinite })
    case .adamBeta1:
      Setting(\.adamBeta1, "decay of Adam's mean gradient", "a number from 0 to below 1", valid: isDecay)
    case .adamBeta2:
      Setting(\.adamBeta2, "decay of Adam's mean squared gradient", "a number from 0 to below 1", valid: isDecay)
    case .seed:
      Setting(
        \.seed, "determines initial weights and the order of the images", "a whole number from 0 to \(Int64.max)",
        valid: { $0 <= UInt64(Int64.max) })
    case .logicalShards:
      Setting(
        \.logicalShards, "parts into which the training set is cut, on any number of ranks",
        "a whole number from 1 to 65536", valid: { (1...65536).contains($0) })
    case .threads:
      Setting(
        \.threads, "threads of a rank", "a whole number from 1 to 1024",
        otherwise: "the allowed cores, divided by the ranks that share them", valid: { (1...1024).contains($0) })
    case .engine:
      Setting(\.engine, "what computes the convolutions")
    case .precision:
      Setting(
        \.precision,
        "what convolutions' factors, and in training the maps between them, are rounded to; sums are in fp32")
    case .featureCache:
      Setting(
        \.featureCache, "memory of a rank for the teacher's features", "auto, off, or an amount such as 4GiB or 512MiB",
        valid: { _ in true })
    case .endTime:
      Setting(
        \.endTime, "when the job is ended: the run stops before that, with a checkpoint",
        "auto (as the scheduler says, where it does), none, a time as 2030-01-31T18:00:00, or seconds since 1970",
        valid: { _ in true })
    case .stallTimeout:
      Setting(
        \.stallTimeout, "how long ranks wait for one that does nothing before the job ends",
        "off, or a time such as 10 min, 30 s or 2 h", valid: { _ in true })
    case .ranksPerCategory:
      Setting(
        \.ranksPerCategory, "of several categories, ranks that train one while others train another", count,
        otherwise: "all ranks, one category after another", valid: isCount)
    case .resume:
      Setting(
        \.resume, "start from the newest valid checkpoint of the output folder, from the beginning, or from a file",
        "auto, never or a checkpoint", valid: { _ in true })
    case .checkpointEvery:
      Setting(
        \.checkpointEvery, "how often a checkpoint is written", interval, valid: { isCount($0.number) })
    case .keepCheckpoints:
      Setting(
        \.keepCheckpoints, "how many of the newest checkpoints are kept", "a whole number, at least 2",
        valid: { isCount($0) && $0 >= 2 })
    case .embedTeacher:
      Setting(
        \.embedTeacher, "store the teacher in the checkpoint, so that evaluation needs no other file", "true or false",
        valid: { _ in true })
    case .statistics:
      Setting(
        \.statistics, "when to take the score statistics of the normal images: at the end, or at every checkpoint")
    case .evaluateEvery:
      Setting(
        \.evaluateEvery, "how often the held-out normal images and the test images are scored", interval,
        otherwise: "never", valid: { isCount($0.number) })
    case .evaluationData:
      Setting(
        \.evaluationData, "folder of the data set (with its category) whose test images are scored then", "a folder",
        otherwise: "none", valid: { !$0.isEmpty })
    case .bestBy:
      Setting(
        \.bestBy,
        "by what the best checkpoint is known: the loss of held-out normal images, or a measure of the labelled test "
          + "images, which then are no test any more")
    case .earlyStop:
      Setting(
        \.earlyStop, "end after this many evaluations without a better one", count, otherwise: "never", valid: isCount)
    case .metricsFile:
      Setting(
        \.metricsFile, "file for step, loss, speed and the newest checkpoint's age, in Prometheus's text format",
        "a file",
        otherwise: "none", valid: { !$0.isEmpty })
    case .trace:
      Setting(
        \.trace, "file for a trace of the first steps on every rank, which Perfetto shows", "a file", otherwise: "none",
        valid: { !$0.isEmpty })
    }
  }
}

private let count = "a whole number, at least 1"
private let interval = "a number of epochs, '10 epochs' or '500 steps'"

/// Bounded, so that the product of two counts fits in an `Int`.
private func isCount(_ number: Int) -> Bool { (1...Int(Int32.max)).contains(number) }

private func isDecay(_ number: Double) -> Bool { (0..<1).contains(number) }

private func isTeacher(_ text: String) -> Bool {
  text.hasPrefix("random:") ? TeacherWeights.randomSeed(of: text) != nil : !text.isEmpty
}

/// One key's meaning, accepted values, and how its value is read and written.
struct Setting {
  typealias Configuration = TrainingConfiguration

  let meaning: String
  /// The values that are accepted, in words.
  let accepted: String
  /// The accepted values, where they are a few words.
  let words: [String]
  /// What holds where the key has no value.
  let otherwise: String
  /// Stores a written value, or returns false if it is not an accepted one.
  let read: (WrittenValue, inout Configuration) -> Bool
  /// The value in TOML, if there is one.
  let literal: (Configuration) -> String?

  /// The value for a reader.
  func shown(in configuration: Configuration) -> String {
    guard let literal = literal(configuration) else { return otherwise }
    return literal.hasPrefix("\"") ? String(literal.dropFirst().dropLast()) : literal
  }

  /// A key that always has a value.
  init<Value: ConfigurationValue>(
    _ path: WritableKeyPath<Configuration, Value>, _ meaning: String, _ accepted: String, words: [String] = [],
    valid: @escaping (Value) -> Bool
  ) {
    self.meaning = meaning
    self.accepted = accepted
    self.words = words
    otherwise = ""
    read = { written, configuration in
      guard let value = Value(written), valid(value) else { return false }
      configuration[keyPath: path] = value
      return true
    }
    literal = { $0[keyPath: path].tomlLiteral }
  }

  /// A key that may have no value.
  init<Value: ConfigurationValue>(
    _ path: WritableKeyPath<Configuration, Value?>, _ meaning: String, _ accepted: String, words: [String] = [],
    otherwise: String, valid: @escaping (Value) -> Bool
  ) {
    self.meaning = meaning
    self.accepted = accepted
    self.words = words
    self.otherwise = otherwise
    read = { written, configuration in
      guard let value = Value(written), valid(value) else { return false }
      configuration[keyPath: path] = value
      return true
    }
    literal = { $0[keyPath: path]?.tomlLiteral }
  }

  /// A key that takes one of a few words.
  init<Word: ConfigurationWord>(_ path: WritableKeyPath<Configuration, Word>, _ meaning: String) {
    self.init(path, meaning, listed(Word.words), words: Word.words, valid: { _ in true })
  }

  /// A key that takes one of a few words, or none.
  init<Word: ConfigurationWord>(
    _ path: WritableKeyPath<Configuration, Word?>, _ meaning: String, otherwise: String
  ) {
    self.init(path, meaning, listed(Word.words), words: Word.words, otherwise: otherwise, valid: { _ in true })
  }
}

/// `a`, `a or b`, `a, b or c`.
private func listed(_ words: [String]) -> String {
  words.dropLast().joined(separator: ", ") + (words.count > 1 ? " or " : "") + (words.last ?? "")
}
