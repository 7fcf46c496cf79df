import Foundation
import Imagery
import TestSupport
import Testing
import Training

/// Runs the built rd-train in a folder of its own.
@Suite struct RdTrainCommandLineTests {
  /// - Parameters:
  ///   - file: what `rd-train.toml` in the current folder holds, if there is one.
  ///   - folder: the current folder, where it is to be seen before or after.
  private func run(
    _ arguments: [String], file: String? = nil, environment: [String: String] = [:], ranks: Int? = nil,
    in folder: TemporaryFolder? = nil
  ) throws -> ToolProcess.Outcome {
    let folder = try folder ?? TemporaryFolder()
    if let file { try Data(file.utf8).write(to: folder.url.appendingPathComponent("rd-train.toml")) }
    return try ToolProcess.run("rd-train", arguments, ranks: ranks, in: folder.url, environment: environment)
  }

  private static let required = ["--data", "a folder/with spaces", "--teacher", "random:1", "--output", "run"]
  private static let requiredFile = "data = 'd'\nteacher = 'random:1'\noutput = 'run'\n"

  // MARK: What is understood

  @Test func aRunTrainsAsTheFileAndTheOptionsSay() throws {
    let folder = try TemporaryFolder()
    try SyntheticDataSet.write(
      to: folder("a folder/with spaces"), seed: 1, imageSize: 64, trainingCount: 3, goodTestCount: 0, defectsPerKind: 0)
    let outcome = try run(
      [
        "--data", "a folder/with spaces", "--category=surface", "--image-size=32", "--max-steps", "1",
        "--no-embed-teacher", "--checkpoint-every", "500 steps", "--adam-beta1", "0.9",
      ], file: Self.requiredFile + "backbone = 'resnet18'\nmax_steps = 9\nseed = 9", in: folder)
    #expect(outcome.code == 0, "\(outcome.errors)")
    let configuration = try TrainingConfiguration(
      toml: String(contentsOfFile: folder("run/config.toml"), encoding: .utf8), file: "config.toml")
    #expect(configuration.data == "a folder/with spaces" && configuration.imageSize == 32)
    #expect(configuration.maxSteps == 1 && configuration.seed == 9 && configuration.backbone == .resNet18)
    #expect(!configuration.embedTeacher && configuration.checkpointEvery == .steps(500))
    #expect(configuration.adamBeta1 == 0.9)
    #expect(outcome.errors.contains("UNTRAINED") && outcome.errors.contains("run/checkpoints/step-00000001.h5"))
  }

  @Test func anotherFileTakesThePlaceOfTheFoldersOwn() throws {
    let folder = try TemporaryFolder()
    try Data(Self.requiredFile.utf8).write(to: folder.url.appendingPathComponent("other.toml"))
    let outcome = try run(["--config", "other.toml"], file: "x = 1", in: folder)
    #expect(outcome.code == 65 && outcome.errors == "rd-train: d: no such folder\n")
    let missing = try run(["--config", "other.toml"], file: Self.requiredFile)
    #expect(missing.code == 78)
    #expect(missing.errors.hasPrefix("rd-train: other.toml: No such file or directory"))
  }

  @Test func helpShowsEveryOptionWithItsDefault() throws {
    let outcome = try run(["--help"])
    #expect(outcome.code == 0 && outcome.errors.isEmpty)
    // The help is wrapped, so words are compared.
    let words = outcome.output.split { $0.isWhitespace }.joined(separator: " ")
    for key in TrainingConfiguration.Key.allCases {
      #expect(words.contains(key.option), "\(key.option)")
      #expect(words.contains(key.help), "\(key.help)")
    }
    for title in ["DATA:", "MODEL:", "OPTIMISATION:", "EXECUTION:", "CHECKPOINTS:"] {
      #expect(outcome.output.contains(title))
    }
  }

  @Test(arguments: [nil, 2])
  func theConfigurationIsPrintedAndNothingDone(ranks: Int?) throws {
    guard ranks == nil || ToolProcess.hasMPI else { return }
    let folder = try TemporaryFolder()
    let outcome = try run(["--epochs", "7", "--print-config"], file: Self.requiredFile, ranks: ranks, in: folder)
    #expect(outcome.code == 0 && outcome.errors.isEmpty)
    for line in [/data = "d" +# rd-train.toml:1\n/, /epochs = 7 +# --epochs\n/, /seed = 111 +# default\n/] {
      #expect(outcome.output.matches(of: line).count == 1)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["rd-train.toml"])
    #expect(try run(["--print-config"]).code == 64)
  }

  @Test func howMuchIsSaidCanBeChosen() throws {
    let folder = try TemporaryFolder()
    try SyntheticDataSet.write(
      to: folder("d"), seed: 1, imageSize: 64, trainingCount: 4, goodTestCount: 0, defectsPerKind: 0)
    let file = Self.requiredFile + "category = 'surface'\nbackbone = 'resnet18'\nimage_size = 32\nresume = 'never'\n"
    let options = ["--max-steps", "3", "--batch-size", "2"]
    let quiet = try run(options + ["--quiet"], file: file, in: folder)
    #expect(quiet.code == 0 && quiet.output.isEmpty)
    #expect(
      quiet.errors.split(separator: "\n").count == 1 && quiet.errors.hasPrefix("warning: the teacher random:1 is"))
    let verbose = try run(options + ["-v"], file: file, in: folder)
    #expect(verbose.code == 0 && verbose.errors.contains("\nstep 1/3 ") && verbose.errors.contains("\nstep 2/3 "))
    #expect(try run(options + ["-q", "-v"], file: file, in: folder).code == 64)
  }

  @Test func aPlanForProgramsSaysWhatTheTextSays() throws {
    let folder = try TemporaryFolder()
    try SyntheticDataSet.write(
      to: folder("d"), seed: 1, imageSize: 64, trainingCount: 5, goodTestCount: 0, defectsPerKind: 0)
    let outcome = try run(
      [
        "--category", "surface", "--plan", "--plan-ranks", "2", "--image-size", "32", "--format", "json", "--network",
        "latency 50us, bandwidth 10Gbit/s",
      ], file: Self.requiredFile + "backbone = 'resnet18'", in: folder)
    try #require(outcome.code == 0, "\(outcome.errors)")
    struct Plan: Decodable {
      struct Part: Decodable { let bytes: Int; let isTransient: Bool }
      struct Prediction: Decodable { let stepSeconds: Double; let imagesPerSecond: Double }
      let ranks: Int
      let images: Int
      let batch: Int
      let memory: [Part]
      let peakMemoryBytes: Int
      let predictions: [Prediction]
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let plan = try decoder.decode(Plan.self, from: Data(outcome.output.utf8))
    #expect(plan.ranks == 2 && plan.images == 5 && plan.batch == 5 && plan.predictions.count == 1)
    let transient = plan.memory.filter(\.isTransient).map(\.bytes).max() ?? 0
    #expect(plan.memory.filter { !$0.isTransient }.reduce(transient) { $0 + $1.bytes } == plan.peakMemoryBytes)
    let prediction = try #require(plan.predictions.first)
    #expect(abs(prediction.imagesPerSecond * prediction.stepSeconds / 5 - 1) < 1e-9)
    #expect(try run(["--format", "json"], file: Self.requiredFile).code == 64)
  }

  // MARK: What is not

  @Test func withoutAnythingItSaysWhatItNeeds() throws {
    let outcome = try run([])
    #expect(outcome.code == 64 && outcome.output.isEmpty)
    for part in ["--data", "--teacher", "--output", "--help", "rd-train.toml"] {
      #expect(outcome.errors.contains(part), "\(part)")
    }
  }

  @Test func wrongOptionsAreUsageErrors() throws {
    let unknown = try run(Self.required + ["--epoch", "3"])
    #expect(unknown.code == 64 && unknown.errors.contains("Did you mean '--epochs'?"))
    let values = try run(Self.required + ["--epochs", "0", "--backbone", "resnet-50", "--image-size", "100"])
    #expect(values.code == 64 && values.output.isEmpty)
    #expect(values.errors.hasPrefix("rd-train: 3 errors\n"))
    for part in ["--epochs 0: must be", "did you mean resnet50?", "--image-size 100: must be a multiple of 32"] {
      #expect(values.errors.contains(part), "\(part)")
    }
  }

  @Test func aWrongFileIsAConfigurationError() throws {
    let outcome = try run([], file: Self.requiredFile + "batchsize = 4\nimage_size = 100\n")
    #expect(outcome.code == 78 && outcome.output.isEmpty)
    #expect(outcome.errors.contains("rd-train.toml:4: unknown key 'batchsize'; did you mean 'batch_size'?"))
    #expect(outcome.errors.contains("rd-train.toml:5: image_size = 100"))
  }

  @Test func whatCannotBeTrainedOnIsBadData() throws {
    let folder = try TemporaryFolder()
    let absent = try run(["--data", "elsewhere"], file: Self.requiredFile, in: folder)
    #expect(absent.code == 65 && absent.errors == "rd-train: elsewhere: no such folder\n")
    try FileManager.default.createDirectory(
      at: folder.url.appendingPathComponent("d/train/good"), withIntermediateDirectories: true)
    let empty = try run([], in: folder)
    #expect(empty.code == 65 && empty.errors.hasPrefix("rd-train: d/train/good: no pictures\n"))
    #expect(!FileManager.default.fileExists(atPath: folder("run")))
  }

  // MARK: Planning

  @Test(arguments: [nil, 2])
  func aPlanWritesNothingButItself(ranks: Int?) throws {
    guard ranks == nil || ToolProcess.hasMPI else { return }
    let folder = try TemporaryFolder()
    try SyntheticDataSet.write(
      to: folder("d"), seed: 1, imageSize: 64, trainingCount: 5, goodTestCount: 0, defectsPerKind: 0)
    let outcome = try run(
      [
        "--category", "surface", "--plan", "--image-size", "32", "--network", "latency 50us, bandwidth 10Gbit/s",
        "--network", "latency 1ms, bandwidth 100Mbit/s",
      ] + (ranks == nil ? ["--plan-ranks", "3"] : []), file: Self.requiredFile + "backbone = 'resnet18'", ranks: ranks,
      in: folder)
    #expect(outcome.code == 0, "\(outcome.errors)")
    #expect(outcome.output.hasPrefix("\(ranks ?? 3) ranks with "))
    for part in ["weights", "most at a time", "student forward", "statistics of batch norms", "rehearsed", "epoch"] {
      #expect(outcome.output.contains(part), "\(part)")
    }
    #expect(outcome.output.components(separatedBy: "predicted: latency").count == 3)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["d", "rd-train.toml"])
  }

  @Test func whatIsForOneCategoryIsRefusedForSeveral() throws {
    let resumed = try run(["--category", "all", "--resume", "step-00000005.h5"], file: Self.requiredFile)
    #expect(resumed.code == 78 && resumed.errors.contains("step-00000005.h5, which is a checkpoint of one category"))
    let planned = try run(["--category", "a,b", "--plan"], file: Self.requiredFile)
    #expect(planned.code == 78 && planned.errors.hasPrefix("rd-train: a plan is for one category"))
  }

  @Test func aDataSetWithoutCategoriesIsBadData() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      at: folder.url.appendingPathComponent("d"), withIntermediateDirectories: true)
    let outcome = try run(["--category", "all"], file: Self.requiredFile, in: folder)
    #expect(outcome.code == 65 && outcome.errors.hasPrefix("rd-train: d: there are no categories\n"))
  }

  @Test func aPlanFailsAsTheRunWould() throws {
    #expect(try run(["--plan"], file: Self.requiredFile).code == 65)
    #expect(try run(["--plan", "--epochs", "0"], file: Self.requiredFile).code == 64)
    for options in [["--plan-ranks", "2"], ["--network", "latency 1us, bandwidth 1Gbit/s"]] {
      let outcome = try run(options, file: Self.requiredFile)
      #expect(outcome.code == 64 && outcome.errors.contains("--plan"))
    }
    let link = try run(["--plan", "--network", "fast"], file: Self.requiredFile)
    #expect(link.code == 64 && link.errors.hasPrefix("rd-train: --network \"fast\""))
    let folder = try TemporaryFolder()
    try SyntheticDataSet.write(
      to: folder("d"), seed: 1, imageSize: 64, trainingCount: 5, goodTestCount: 0, defectsPerKind: 0)
    let many = try run(
      ["--plan", "--category", "surface", "--plan-ranks", "9", "--backbone", "resnet18"], file: Self.requiredFile,
      in: folder)
    #expect(many.code == 64 && many.errors.contains("9 ranks cannot share 8 logical shards"))
  }

  // MARK: Ranks

  @Test(arguments: ["PMIX_RANK", "PMI_RANK", "SLURM_PROCID"])
  func otherRanksAreQuiet(variable: String) throws {
    for (arguments, file, code) in [([], nil, 64), (["--bogus"], nil, 64), ([], "x = 1", 78), (["--help"], nil, 0)]
      as [([String], String?, Int32)]
    {
      let first = try run(arguments, file: file, environment: [variable: "0"])
      #expect(first.code == code && !(first.output + first.errors).isEmpty)
      let second = try run(arguments, file: file, environment: [variable: "1"])
      #expect(second.code == code && (second.output + second.errors).isEmpty)
    }
  }

  /// After a time in which mpirun would have ended it if rank 0 had failed too.
  @Test(arguments: [
    ["OMPI_COMM_WORLD_RANK": "1"], ["OMPI_COMM_WORLD_RANK": "1", "SLURM_PROCID": "0"],
    ["SLURM_PROCID": "1", "SLURM_LOCALID": "0"],
  ])
  func aRankThatMayFailAloneSaysSo(environment: [String: String]) throws {
    let began = ContinuousClock.now
    let outcome = try run([], environment: environment)
    #expect(outcome.code == 64 && outcome.errors.hasPrefix("rd-train: rank 1 ("), "\(outcome.errors)")
    #expect(ContinuousClock.now - began > .seconds(2.5))
    let help = try run(["--help"], environment: environment)
    #expect(help.code == 0 && (help.output + help.errors).isEmpty)
  }

  @Test(
    .enabled(if: ToolProcess.hasMPI),
    arguments: [
      (nil, 64, "--data is missing"), ("seeed = 1", 78, "unknown key 'seeed'"), (requiredFile, 65, "d: no such folder"),
      (requiredFile + "logical_shards = 3", 64, "4 ranks cannot share 3 logical shards"),
    ])
  func underMpirunAnErrorIsSaidOnce(file: String?, code: Int32, message: String) throws {
    let outcome = try run([], file: file, ranks: 4)
    #expect(outcome.code == code)
    #expect(outcome.count(of: message) == 1)
  }
}
