import Diagnostics
import Distillation
import Foundation
import Imagery
import Numerics
import TestSupport
import Testing

@testable import Training

private let required = "data = \"d\"\nteacher = \"t.pth\"\noutput = \"o\"\n"

private func parse(_ lines: String) throws -> TrainingConfiguration {
  try TrainingConfiguration(toml: required + lines, file: "run.toml")
}

/// The failure that this ends in.
private func failureOf(_ body: () throws -> TrainingConfiguration) throws -> Failure {
  let failure = expectError(Failure.self, of: body)
  return try #require(failure)
}

/// The failure that reading these lines after the three required ones (so from line 4) ends in.
private func failure(_ lines: String) throws -> Failure {
  try failureOf { try parse(lines) }
}

/// The folder of the package.
private let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

@Suite struct ConfigurationTests {
  // MARK: Values

  @Test func defaultsAreThePapersSettings() throws {
    let configuration = try parse("")
    #expect(configuration == TrainingConfiguration(data: "d", teacher: "t.pth", output: "o"))
    #expect(
      configuration.model
        == ModelConfiguration(
          backbone: .wideResNet50x2, loss: .flattened, fusion: .concatenation, bottleneck: .multiScale, imageSize: 256))
    #expect(configuration.epochs == 200 && configuration.batchSize == 16 && configuration.learningRate == 0.005)
    #expect(configuration.adamBeta1 == 0.5 && configuration.adamBeta2 == 0.999 && configuration.seed == 111)
    #expect(configuration.logicalShards == 8 && configuration.keepCheckpoints == 2 && configuration.embedTeacher)
    #expect(configuration.checkpointEvery == .epochs(10) && configuration.resume == .automatic)
    #expect(configuration.category == nil && configuration.maxSteps == nil && configuration.threads == nil)
  }

  @Test func everyKeyIsRead() throws {
    var expected = TrainingConfiguration(data: "my data", teacher: "random:7", output: "out")
    expected.category = "metal nut"
    expected.backbone = .resNet18
    expected.preset = .paper
    expected.loss = .flattened
    expected.fusion = .concatenation
    expected.validationFraction = 0.25
    expected.skipUnreadable = true
    expected.bottleneck = .oneClassEmbedding
    expected.imageSize = 128
    expected.fit = .pad
    expected.tiles = 3
    expected.layout = .visa
    expected.normal = "good parts"
    expected.anomalous = "bad"
    expected.masks = "marks"
    expected.epochs = 25
    expected.maxSteps = 12
    expected.batchSize = 1
    expected.learningRate = 1
    expected.adamBeta1 = 0
    expected.adamBeta2 = 0.99
    expected.seed = 0
    expected.logicalShards = 3
    expected.threads = 2
    expected.engine = .openBLAS
    expected.precision = .bf16
    expected.featureCache = .bytes(4 << 30)
    expected.ranksPerCategory = 4
    expected.endTime = .at(Date(timeIntervalSince1970: 1_900_000_000))
    expected.stallTimeout = .seconds(7200)
    expected.resume = .file("a b/step-00000010.h5")
    expected.checkpointEvery = .steps(500)
    expected.keepCheckpoints = 5
    expected.embedTeacher = false
    expected.statistics = .checkpoint
    expected.evaluateEvery = .steps(7)
    expected.evaluationData = "tests"
    expected.bestBy = .pixelAUROC
    expected.earlyStop = 3
    expected.metricsFile = "m.prom"
    expected.trace = "t.json"
    let written = try TrainingConfiguration(
      toml: """
        data = "my data"
        layout = "visa"
        normal = "good parts"
        anomalous = "bad"
        masks = "marks"
        category = 'metal nut'
        skip_unreadable = true
        output = "out"
        validation_fraction = 0.25
        teacher = "random:7"
        backbone = "resnet18"
        preset = "paper"
        loss = "flattened"
        fusion = "concatenation"
        bottleneck = "oce"
        image_size = 128
        fit = "pad"
        tiles = 3
        epochs = 25
        max_steps = 12
        batch_size = 1
        learning_rate = 1   # a whole number is a number
        adam_beta1 = 0
        adam_beta2 = 0.99
        seed = 0
        logical_shards = 3
        threads = 2
        engine = "openblas"
        precision = "bf16"
        feature_cache = "4GiB"
        ranks_per_category = 4
        end_time = 1900000000
        stall_timeout = "2 h"
        resume = "a b/step-00000010.h5"
        checkpoint_every = "500 steps"
        keep_checkpoints = 5
        embed_teacher = false
        statistics = "checkpoint"
        evaluate_every = "7 steps"
        evaluation_data = "tests"
        best_by = "pixel_auroc"
        early_stop = 3
        metrics_file = "m.prom"
        trace = "t.json"
        """, file: "run.toml")
    #expect(written == expected)

    let words: [TrainingConfiguration.Key: String] = [
      .data: "my data", .category: "metal nut", .skipUnreadable: "true", .output: "out",
      .validationFraction: "0.25", .teacher: "random:7", .backbone: "resnet18",
      .preset: "paper", .loss: "flattened", .fusion: "concatenation", .bottleneck: "oce", .imageSize: "128",
      .fit: "pad", .tiles: "3", .epochs: "25", .maxSteps: "12", .batchSize: "1", .learningRate: "1", .adamBeta1: "0",
      .adamBeta2: ".99",
      .seed: "0", .logicalShards: "3", .threads: "2", .engine: "openblas", .precision: "bf16", .featureCache: "4 GiB",
      .ranksPerCategory: "4",
      .endTime: "1900000000",
      .stallTimeout: "120 min", .resume: "a b/step-00000010.h5", .checkpointEvery: "500 steps", .keepCheckpoints: "5",
      .embedTeacher: "false",
      .statistics: "checkpoint", .evaluateEvery: "7 steps", .evaluationData: "tests", .bestBy: "pixel_auroc",
      .earlyStop: "3", .metricsFile: "m.prom", .trace: "t.json",
    ]
    // Folders of images take the place of a data set.
    let folders: [TrainingConfiguration.Key: String] = [
      .layout: "visa", .normal: "good parts", .anomalous: "bad", .masks: "marks",
    ]
    #expect(words.count + folders.count == TrainingConfiguration.Key.allCases.count)
    (expected.layout, expected.normal, expected.anomalous, expected.masks) = (nil, nil, nil, nil)
    #expect(try TrainingConfiguration.resolve(file: nil, options: words).configuration == expected)
    var plain = words.merging(folders) { $1 }
    for key in [TrainingConfiguration.Key.data, .category, .layout] { plain[key] = nil }
    (expected.data, expected.category) = ("", nil)
    (expected.normal, expected.anomalous, expected.masks) = ("good parts", "bad", "marks")
    #expect(try TrainingConfiguration.resolve(file: nil, options: plain).configuration == expected)
  }

  /// The parser ends the process at some of them.
  @Test(arguments: [
    "[é]", "[[é]]", "[.a]", "[ \n", "seed = 1\r\n\t[[ = 1", "\u{FEFF}[é", "[", "[[", "[]", "[a]", "x = [ , ]",
    "x = [1, =]", "[[ a ]]\nseed = 1", "x = '''\n''' [=]",
  ])
  func tablesAreRefused(toml: String) throws {
    let failure = expectError(Failure.self) {
      try TrainingConfiguration(toml: "data = 'd'\n\(toml)", file: "run.toml")
    }
    #expect(failure?.code == .configuration && failure?.message.contains("run.toml") == true)
  }

  @Test func presetSetsLossAndFusionAndEitherCanBeOverridden() throws {
    let paper = try parse("preset = 'paper'").model
    #expect(paper.loss == .perPixel && paper.fusion == .convolution)
    let mixed = try parse("preset = 'paper'\nloss = 'flattened'").model
    #expect(mixed.loss == .flattened && mixed.fusion == .convolution)
    let reference = try parse("fusion = 'convolution'").model
    #expect(reference.loss == .flattened && reference.fusion == .convolution)
  }

  @Test(arguments: [
    ("10", TrainingConfiguration.Interval.epochs(10)), ("'7'", .epochs(7)), ("'1 epoch'", .epochs(1)),
    ("'10 epochs'", .epochs(10)), ("'500 steps'", .steps(500)), ("'1 step'", .steps(1)),
  ])
  func intervals(written: String, expected: TrainingConfiguration.Interval) throws {
    let read = try parse("checkpoint_every = \(written)").checkpointEvery
    #expect(read == expected)
  }

  @Test(arguments: [
    ("auto", TrainingConfiguration.FeatureCache.automatic), ("off", .off), ("4GiB", .bytes(4 << 30)),
    ("512 MiB", .bytes(512 << 20)), ("3KiB", .bytes(3 << 10)), ("100B", .bytes(100)), ("2TiB", .bytes(2 << 40)),
  ])
  func amountsOfMemory(written: String, expected: TrainingConfiguration.FeatureCache) throws {
    let read = try parse("feature_cache = '\(written)'").featureCache
    #expect(read == expected)
  }

  @Test func timesOfTheEnd() throws {
    #expect(try parse("end_time = 'auto'").endTime == .automatic)
    #expect(try parse("end_time = 'none'").endTime == .none)
    let read = try parse("end_time = '2030-01-31T18:00:05'").endTime
    let parts = DateComponents(year: 2030, month: 1, day: 31, hour: 18, second: 5)
    let date = try #require(Calendar(identifier: .gregorian).date(from: parts))
    #expect(read == .at(date))
    let scheduled = Date(timeIntervalSince1970: 5)
    #expect(TrainingConfiguration.EndTime.automatic.date(automatic: scheduled) == scheduled)
    #expect(TrainingConfiguration.EndTime.none.date(automatic: scheduled) == nil)
  }

  @Test(arguments: [
    ("off", TrainingConfiguration.StallTimeout.off), ("30 s", .seconds(30)), ("10min", .seconds(600)),
    ("90 min", .seconds(5400)), ("24 h", .seconds(86400)),
  ])
  func stallTimeouts(written: String, expected: TrainingConfiguration.StallTimeout) throws {
    let read = try parse("stall_timeout = '\(written)'").stallTimeout
    #expect(read == expected)
  }

  // MARK: Errors

  @Test(arguments: [
    "image_size = 250", "image_size = 0", "image_size = 16", "image_size = -32", "image_size = 256.0",
    "image_size = 9223372036854775776", "image_size = '256'", "epochs = 0", "epochs = 'ten'", "epochs = true",
    "max_steps = 0", "batch_size = 0", "batch_size = 1.5", "batch_size = 9223372036854775807", "learning_rate = 0",
    "learning_rate = -0.1", "learning_rate = nan", "learning_rate = inf", "adam_beta1 = 1", "adam_beta1 = -0.5",
    "adam_beta2 = 1.0", "adam_beta2 = nan", "seed = -1", "seed = 'x'", "logical_shards = 0", "threads = 0",
    "engine = 'mkl'", "engine = 'onednn'", "precision = 'fp16'", "precision = 16", "backbone = 'vgg16'",
    "backbone = 18", "preset = ''", "loss = 'mse'", "fusion = 'sum'",
    "bottleneck = 'none'", "keep_checkpoints = 1", "checkpoint_every = 0", "checkpoint_every = '0 steps'",
    "checkpoint_every = '3 days'", "checkpoint_every = '3 epochs 2'", "checkpoint_every = 1.5",
    "checkpoint_every = ''", "resume = ''", "resume = true", "embed_teacher = 'yes'", "embed_teacher = 1",
    "statistics = 'never'", "feature_cache = '4'", "feature_cache = '4GB'", "feature_cache = '-1GiB'",
    "feature_cache = '0GiB'", "feature_cache = '9999999999999TiB'", "feature_cache = 4", "feature_cache = 'GiB'",
    "end_time = 'soon'", "end_time = '2030-13-31T18:00:05'", "end_time = '18:00'", "end_time = ''",
    "stall_timeout = '10'", "stall_timeout = 10", "stall_timeout = '0 s'", "stall_timeout = '1.5 h'",
    "stall_timeout = 'min'", "stall_timeout = '-1 s'", "stall_timeout = '99999999999 h'",
    "validation_fraction = 1", "evaluate_every = 0", "evaluate_every = 'never'",
    "evaluation_data = ''", "best_by = 'loss'", "early_stop = 0", "metrics_file = ''", "trace = ''",
    "validation_fraction = -0.1", "category = ''",
    "category = 'a,,b'", "category = 'a, a'",
    "category = 'a,..'", "category = 'a,b/c'",
    "category = 'a,all'", "ranks_per_category = 0", "ranks_per_category = 'all'", "category = ['a']",
    "category = 1979-05-27", "epochs = { a = 1 }",
  ])
  func badValuesAreRefused(line: String) throws {
    let failure = try failure(line)
    #expect(failure.code == .configuration)
    let key = try #require(TrainingConfiguration.Key(rawValue: String(line.prefix { $0 != " " })))
    #expect(failure.message.hasPrefix("run.toml:4: \(key.rawValue) = "))
    #expect(failure.message.contains("must be \(key.setting.accepted)"))
  }

  @Test(arguments: ["random:", "random:x", "random:-1", ""])
  func badTeachersAreRefused(teacher: String) {
    #expect(throws: Failure.self) {
      try TrainingConfiguration(toml: "data = 'd'\noutput = 'o'\nteacher = '\(teacher)'", file: "run.toml")
    }
  }

  @Test func everythingThatIsWrongIsSaidAtOnceInTheOrderOfTheFile() throws {
    let failure = try failure(
      """
      zebra = 1
      batchsize = 3

      "image-size" = 96
      image_size = 100
      epochs = "ten"
        backbone = "resnet-18"
      [model]
      loss = "flattened"
      """)
    #expect(
      failure.message.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) } == [
        "7 errors",
        "run.toml:4: unknown key 'zebra'",
        "run.toml:5: unknown key 'batchsize'; did you mean 'batch_size'?",
        "run.toml:7: unknown key 'image-size'; did you mean 'image_size'?",
        "run.toml:8: image_size = 100: must be a multiple of 32, from 32 to 16384",
        "run.toml:9: epochs = \"ten\": must be a whole number, at least 1",
        "run.toml:10: backbone = \"resnet-18\": must be resnet18, resnet34, resnet50, wide_resnet50_2 or efficientnet_lite0; "
          + "did you mean resnet18?",
        "run.toml:11: unknown table 'model': all keys stand at the top level, without tables",
      ])
  }

  @Test func missingKeysAreNamedBesideOtherErrors() throws {
    let failure = try failureOf { try TrainingConfiguration(toml: "epochs = 0\ndata = 'd'", file: "f") }
    #expect(failure.message.contains("f:1: epochs = 0"))
    #expect(failure.message.contains("'teacher' is missing") && failure.message.contains("'output' is missing"))
    #expect(!failure.message.contains("'data' is missing"))
  }

  @Test func syntaxErrorsHaveTheirLineAndHideNothingElse() throws {
    let failure = try failure("epochs = 3\nseed = = 4\n")
    #expect(failure.code == .configuration)
    #expect(failure.message.hasPrefix("run.toml:5: "))
    #expect(!failure.message.contains("missing"))
    let duplicate = try failureOf { try parse("epochs = 3\nepochs = 4") }
    #expect(duplicate.message.hasPrefix("run.toml:5: "))
  }

  // MARK: File and command line together

  private func resolve(
    _ toml: String, _ options: [TrainingConfiguration.Key: String] = [:]
  ) throws -> TrainingConfiguration {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).toml")
    try Data(toml.utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    return try TrainingConfiguration.resolve(file: file.path, options: options).configuration
  }

  @Test func theCommandLineOverridesTheFile() throws {
    let configuration = try resolve(
      required + "epochs = 5\nseed = 1", [.epochs: "7", .output: "elsewhere", .embedTeacher: "false"])
    #expect(configuration.epochs == 7 && configuration.seed == 1 && configuration.batchSize == 16)
    #expect(configuration.data == "d" && configuration.output == "elsewhere" && !configuration.embedTeacher)
  }

  @Test func theCommandLineCompletesTheFile() throws {
    let configuration = try resolve("data = 'd'", [.teacher: "t", .output: "o"])
    #expect(configuration == TrainingConfiguration(data: "d", teacher: "t", output: "o"))
  }

  @Test func theCodeTellsTheCommandLineFromTheFile() throws {
    let both = try failureOf { try resolve(required + "epochs = 0", [.seed: "x", .batchSize: "0"]) }
    #expect(both.code == .usage)
    for part in ["epochs = 0", "--seed x: must be", "--batch-size 0: must be"] { #expect(both.message.contains(part)) }
    let file = try failureOf { try resolve(required + "epochs = 0", [.seed: "1"]) }
    #expect(file.code == .configuration)
    let incomplete = try failureOf { try resolve("data = 'd'", [.output: "o"]) }
    #expect(incomplete.code == .configuration)
    #expect(incomplete.message.contains("'teacher' is missing (here or as --teacher)"))
  }

  @Test func anOverriddenValueOfTheFileMustStillBeRight() {
    #expect(throws: Failure.self) { try resolve(required + "epochs = 0", [.epochs: "7"]) }
  }

  @Test func unreadableFilesSayWhy() throws {
    let missing = try failureOf { try TrainingConfiguration.resolve(file: "/nowhere/x.toml").configuration }
    #expect(missing.code == .configuration)
    #expect(missing.message == "/nowhere/x.toml: No such file or directory")
    let folder = try failureOf { try TrainingConfiguration.resolve(file: "/").configuration }
    #expect(folder.message == "/: not a file")
    for text in ["epochs = 3\u{0}\nbatchsize = 3", "epochs = 3\u{0}"] {
      let binary = try failureOf { try resolve(required + text) }
      #expect(binary.message.contains("not a text file"))
    }
  }

  // MARK: Text

  @Test func renderingIsCompleteAndReadsBack() throws {
    let configuration = try parse(
      "category = 'c'\nmax_steps = 3\nthreads = 2\nranks_per_category = 2\nloss = 'per_pixel'\nfusion = 'convolution'\n"
        + "evaluate_every = '7 steps'\nevaluation_data = 'd'\nearly_stop = 2\nmetrics_file = 'm'\n"
        + "trace = 't'\nlayout = 'visa'\nnormal = 'n'\nanomalous = 'a'\nmasks = 'm'")
    let text = configuration.toml
    for key in TrainingConfiguration.Key.allCases { #expect(text.contains("\n\(key.rawValue) = "), "\(key)") }
    let again = try TrainingConfiguration(toml: text, file: "config.toml")
    #expect(again == configuration)
    #expect(again.toml == text)
  }

  @Test func anyConfigurationReadsBackEqual() throws {
    var random = SeededGenerator(seed: 1)
    for _ in 0..<300 {
      let configuration = TrainingConfiguration.random(using: &random)
      let again = try TrainingConfiguration(toml: configuration.toml, file: "config.toml")
      #expect(again == configuration)
    }
  }

  @Test func theExampleShowsEveryKeyWithItsDefault() throws {
    let file = package.appendingPathComponent("cluster/rd-train.toml")
    let text = try String(contentsOf: file, encoding: .utf8)
    var expected = TrainingConfiguration(
      data: "data/mvtec", teacher: "teachers/wide_resnet50_2-95faca4d.pth", output: "runs/hazelnut")
    expected.category = "hazelnut"
    let example = try TrainingConfiguration.resolve(file: file.path).configuration
    #expect(example == expected)

    let optional = text.replacing(/(?m)^# (?=[a-z_0-9]+ = )/, with: "")
    for key in TrainingConfiguration.Key.allCases { #expect(optional.contains("\n\(key.rawValue) = "), "\(key)") }
    let full = try TrainingConfiguration(toml: optional, file: "rd-train.toml")
    #expect(full.model == expected.model)
  }

  @Test func theShortExamplesAreRight() throws {
    let folder = package.appendingPathComponent("docs/examples")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(".toml") }
    #expect(names.count == 3)
    for name in names {
      let example = try TrainingConfiguration.resolve(file: folder.appendingPathComponent(name).path).configuration
      #expect(example.preset == .reference && example.imageSize == 256)
    }
  }

  @Test func everyValueSaysWhereItComesFrom() throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).toml").path
    try Data((required + "\npreset = 'paper'\nepochs = 5\nloss = 'flattened'\n").utf8).write(
      to: URL(fileURLWithPath: file))
    defer { try? FileManager.default.removeItem(atPath: file) }
    let (configuration, origins) = try TrainingConfiguration.resolve(
      file: file, options: [.epochs: "7", .seed: "3"])
    let text = configuration.toml(origins: origins)
    let lines = text.split(separator: "\n").map { String($0.replacing(/\ +#\ /, with: " # ")) }
    for expected in [
      "data = \"d\" # \(file):1", "epochs = 7 # --epochs", "seed = 3 # --seed", "preset = \"paper\" # \(file):5",
      "loss = \"flattened\" # \(file):7", "fusion = \"convolution\" # preset paper", "batch_size = 16 # default",
      "# max_steps is not set: no limit # default",
    ] { #expect(lines.contains(expected), "\(expected)") }
    #expect(lines.count == TrainingConfiguration.Key.allCases.count)
    #expect(try TrainingConfiguration(toml: text, file: "printed") == configuration.resolved)
  }

  /// `scripts/reference` writes it anew.
  @Test func theReferenceIsWhatTheCodeSays() throws {
    let file = package.appendingPathComponent("docs/configuration.md")
    #expect(try String(contentsOf: file, encoding: .utf8) == TrainingConfiguration.reference)
  }

  // MARK: Checkpoints

  @Test func theCheckpointKnowsOnlyWhatIsComputed() throws {
    #expect(
      try parse("").checkpointText == """
        validation_fraction = 0.0
        backbone = "wide_resnet50_2"
        loss = "flattened"
        fusion = "concatenation"
        bottleneck = "mff+oce"
        image_size = 256
        fit = "stretch"
        tiles = 1
        batch_size = 16
        learning_rate = 0.005
        adam_beta1 = 0.5
        adam_beta2 = 0.999
        seed = 111
        logical_shards = 8
        engine = "vector"
        precision = "fp32"

        """)
  }

  @Test func whatMayDifferChangesNeitherCheckpointNorCompatibility() throws {
    let one = try parse("")
    var other = TrainingConfiguration(data: "elsewhere", teacher: "t2.pth", output: "o2")
    other.category = "c"
    other.loss = .flattened
    other.fusion = .concatenation
    other.preset = .paper
    other.epochs = 1
    other.maxSteps = 1
    other.threads = 1
    other.featureCache = .off
    other.ranksPerCategory = 2
    other.stallTimeout = .off
    other.resume = .never
    other.checkpointEvery = .steps(1)
    other.keepCheckpoints = 9
    other.embedTeacher = false
    other.statistics = .checkpoint
    other.evaluateEvery = .epochs(1)
    other.evaluationData = "d2"
    other.bestBy = .aupro
    other.earlyStop = 1
    other.metricsFile = "m"
    other.trace = "t"
    #expect(one.checkpointText == other.checkpointText)
    #expect(one.compatibility(with: other).isEmpty)
  }

  @Test(arguments: [
    ("validation_fraction = 0.1", "0.0", "0.1"),
    ("backbone = 'resnet18'", "wide_resnet50_2", "resnet18"), ("loss = 'per_pixel'", "flattened", "per_pixel"),
    ("fusion = 'convolution'", "concatenation", "convolution"), ("bottleneck = 'oce'", "mff+oce", "oce"),
    ("image_size = 128", "256", "128"), ("batch_size = 8", "16", "8"), ("learning_rate = 0.001", "0.005", "0.001"),
    ("adam_beta1 = 0.9", "0.5", "0.9"), ("adam_beta2 = 0.99", "0.999", "0.99"), ("seed = 1", "111", "1"),
    ("logical_shards = 4", "8", "4"), ("engine = 'openblas'", "vector", "openblas"),
    ("precision = 'bf16'", "fp32", "bf16"),
  ])
  func whatMustNotDifferIsNamedWithBothValues(line: String, own: String, other: String) throws {
    let (one, two) = (try parse(""), try parse(line))
    let conflicts = one.compatibility(with: two)
    let key = try #require(TrainingConfiguration.Key(rawValue: String(line.prefix { $0 != " " })))
    #expect(conflicts == [TrainingConfiguration.Conflict(key: key, own: own, other: other)])
    #expect(one.checkpointText != two.checkpointText)
  }

  @Test func aPresetDiffersByWhatItImplies() throws {
    let conflicts = try parse("").compatibility(with: parse("preset = 'paper'"))
    #expect(conflicts.map(\.key) == [.loss, .fusion])
    #expect(conflicts.first?.description == "loss is flattened, there per_pixel")
  }

  @Test func aCheckpointsComputationIsRestored() throws {
    let written = try parse("backbone = 'resnet18'\npreset = 'paper'\nseed = 5\nepochs = 3\nthreads = 7")
    let restored = try TrainingConfiguration(checkpointText: written.checkpointText, file: "step.h5")
    #expect(restored.model == written.model && restored.seed == 5)
    #expect(restored.threads == nil)
    #expect(restored.checkpointText == written.checkpointText)
    let current = TrainingConfiguration(data: "here", teacher: "w", output: "there")
    #expect(current.compatibility(with: restored).map(\.key) == [.backbone, .loss, .fusion, .seed])
  }

  /// What an evaluation on the way needs, and is not told.
  @Test(
    arguments: [
      ([.evaluationData: "d"], "evaluation_data is given, and evaluate_every is not"),
      ([.earlyStop: "3"], "early_stop is given, and evaluate_every is not"),
      ([.evaluateEvery: "1"], "nothing to evaluate"),
      ([.evaluateEvery: "1", .validationFraction: "0.1", .bestBy: "aupro"], "best_by is aupro, and evaluation_data"),
      ([.evaluateEvery: "1", .evaluationData: "d", .earlyStop: "3"], "no normal images are held out"),
    ] as [([TrainingConfiguration.Key: String], String)])
  func evaluationsNeedWhatTheyMeasure(options: [TrainingConfiguration.Key: String], message: String) throws {
    let required: [TrainingConfiguration.Key: String] = [.data: "d", .teacher: "t", .output: "o"]
    let failure = try failureOf {
      try TrainingConfiguration.resolve(options: required.merging(options) { $1 }).configuration
    }
    #expect(failure.code == .configuration && failure.message.contains(message), "\(failure)")
  }

  @Test func allThatDoesNotGoTogetherIsSaidAtOnce() throws {
    let failure = try failureOf {
      try TrainingConfiguration.resolve(options: [
        .normal: "n", .layout: "btad", .teacher: "t", .output: "o", .tiles: "64", .imageSize: "512", .earlyStop: "3",
      ]).configuration
    }
    let lines = failure.message.split(separator: "\n").map { $0.prefix { $0 != "," } }
    #expect(failure.code == .configuration, "\(failure)")
    #expect(
      lines == [
        "3 errors", "  normal and layout are given", "    give --data DIR",
        "  tiles = 64 with image_size = 512 makes images of 24704 x 24704 pixels",
        "    at most 16384 are possible: choose fewer tiles or smaller ones", "  early_stop is given",
        "    say how often",
      ], "\(failure)")
  }

  @Test func olderCheckpointsHeldNothingOutAndStretchedImages() throws {
    let configuration = try parse("")
    let text = configuration.checkpointText.replacing("validation_fraction = 0.0\n", with: "")
      .replacing("fit = \"stretch\"\ntiles = 1\n", with: "")
    #expect(text.count == configuration.checkpointText.count - 26 - 16 - 10)
    var current = configuration
    current.validationFraction = 0.1
    current.fit = .pad
    current.tiles = 2
    let restored = try TrainingConfiguration(checkpointText: text, file: "step.h5")
    #expect(restored.validationFraction == 0 && restored.fit == .stretch && restored.tiles == 1)
    #expect(current.compatibility(with: restored).map(\.key) == [.validationFraction, .fit, .tiles])
  }

  @Test(
    arguments: [
      ([.data: "d", .normal: "n"], "data and normal are given"),
      ([.normal: "n", .category: "c"], "normal and category are given"),
      ([.normal: "n", .layout: "btad"], "normal and layout are given"),
      ([.data: "d", .anomalous: "a"], "anomalous or masks is given, and normal is not"),
      ([.normal: "n", .masks: "m"], "masks is given, and anomalous is not"),
    ] as [([TrainingConfiguration.Key: String], String)])
  func aDataSetIsSaidInOneWay(options: [TrainingConfiguration.Key: String], message: String) throws {
    let required: [TrainingConfiguration.Key: String] = [.teacher: "t", .output: "o"]
    let failure = try failureOf {
      try TrainingConfiguration.resolve(options: required.merging(options) { $1 }).configuration
    }
    #expect(failure.code == .configuration && failure.message.hasPrefix(message), "\(failure)")
  }

  @Test(arguments: ["", "seed = 3\n", "garbage", "epochs = 3\n"])
  func whatIsNoCheckpointTextIsRefused(text: String) throws {
    let configuration = try parse("")
    let whole = text == "epochs = 3\n" ? configuration.checkpointText + text : text
    let failure = try failureOf { try TrainingConfiguration(checkpointText: whole, file: "step.h5") }
    #expect(failure.code == .badData)
    #expect(failure.message.contains("step.h5"))
  }
}

extension TrainingConfiguration {
  /// Any valid configuration, paths with everything that needs care in TOML among them.
  fileprivate static func random(using random: inout SeededGenerator) -> TrainingConfiguration {
    func path() -> String {
      let letters: [Character] = [
        "a", "Z", "/", ".", " ", "\"", "'", "\\", "\n", "\t", "\r", "\u{1}", "\u{7F}", "#", "=", "[", "ü", "検", "😀",
        "0",
      ]
      return String(
        (0...Int.random(in: 0..<12, using: &random)).map { _ in letters.randomElement(using: &random) ?? "a" })
    }
    func count() -> Int { Int.random(in: 1...Int(Int32.max), using: &random) }
    func positive() -> Double {
      let value = Double(bitPattern: UInt64.random(in: 1..<Double.infinity.bitPattern, using: &random))
      return value
    }
    func maybe<T>(_ value: T?) -> T? { Bool.random(using: &random) ? value : nil }
    var configuration = TrainingConfiguration(data: path(), teacher: "t" + path(), output: path())
    configuration.category = maybe(path())
    configuration.validationFraction = Double.random(in: 0..<1, using: &random)
    configuration.backbone = Backbone.allCases.randomElement(using: &random) ?? .resNet18
    configuration.preset = Preset.allCases.randomElement(using: &random) ?? .paper
    configuration.loss = maybe(DistillationLoss.allCases.randomElement(using: &random))
    configuration.fusion = maybe(Fusion.allCases.randomElement(using: &random))
    configuration.bottleneck = BottleneckKind.allCases.randomElement(using: &random) ?? .pretrained
    configuration.fit = ImageFit.allCases.randomElement(using: &random) ?? .pad
    configuration.tiles = Int.random(in: 1...4, using: &random)
    configuration.layout = maybe(DataSet.Layout.allCases.randomElement(using: &random))
    configuration.normal = maybe(path())
    configuration.anomalous = maybe(path())
    configuration.masks = maybe(path())
    configuration.imageSize = 32 * Int.random(in: 1...512, using: &random)
    configuration.epochs = count()
    configuration.maxSteps = maybe(count())
    configuration.batchSize = count()
    configuration.learningRate = positive()
    configuration.adamBeta1 = Double.random(in: 0..<1, using: &random)
    configuration.adamBeta2 = Double.random(in: 0..<1, using: &random)
    configuration.seed = UInt64.random(in: 0...UInt64(Int64.max), using: &random)
    configuration.logicalShards = Int.random(in: 1...65536, using: &random)
    configuration.threads = maybe(Int.random(in: 1...1024, using: &random))
    configuration.engine = EngineKind.allCases.randomElement(using: &random) ?? .openBLAS
    configuration.precision = Precision.allCases.randomElement(using: &random) ?? .bf16
    configuration.featureCache =
      [.automatic, .off, .bytes(count()), .bytes(count() << 10)].randomElement(using: &random) ?? .off
    configuration.stallTimeout =
      [.off, .seconds(count()), .seconds(60 * count())].randomElement(using: &random) ?? .off
    configuration.resume = [.automatic, .never, .file("f" + path())].randomElement(using: &random) ?? .never
    configuration.checkpointEvery = Bool.random(using: &random) ? .epochs(count()) : .steps(count())
    configuration.ranksPerCategory = maybe(count())
    configuration.keepCheckpoints = 1 + Int.random(in: 1..<100, using: &random)
    configuration.embedTeacher = Bool.random(using: &random)
    configuration.skipUnreadable = Bool.random(using: &random)
    configuration.statistics = Statistics.allCases.randomElement(using: &random) ?? .final
    configuration.evaluateEvery = maybe(Bool.random(using: &random) ? .epochs(count()) : .steps(count()))
    configuration.evaluationData = maybe(path())
    configuration.bestBy = Criterion.allCases.randomElement(using: &random) ?? .aupro
    configuration.earlyStop = maybe(count())
    configuration.metricsFile = maybe(path())
    configuration.trace = maybe(path())
    return configuration
  }
}
