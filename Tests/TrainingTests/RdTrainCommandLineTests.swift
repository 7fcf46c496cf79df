import Foundation
import Imagery
import Testing
import Training

/// Runs the built rd-train in a folder of its own.
@Suite struct RdTrainCommandLineTests {
  struct Outcome {
    let code: Int32
    let output: String
    let errors: String
    /// The `config.toml` of the run, where it came so far.
    let configuration: String?
  }

  /// The tools lie beside the test bundle.
  private static let products = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
  private static let mpirun = ["/usr/bin/mpirun", "/usr/local/bin/mpirun"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// The output folder is `run`.
  /// - Parameters:
  ///   - file: what `rd-train.toml` in the current folder holds, if there is one.
  ///   - prepare: is given the current folder before the tool is started in it.
  ///   - environment: what is added to an environment that no launcher has touched.
  ///   - ranks: how many mpirun starts; without a number, the tool is run by itself.
  private func run(
    _ arguments: [String], file: String? = nil, environment: [String: String] = [:], ranks: Int? = nil,
    prepare: (URL) throws -> Void = { _ in }
  ) throws -> Outcome {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("rd train \(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    if let file { try Data(file.utf8).write(to: folder.appendingPathComponent("rd-train.toml")) }
    try prepare(folder)

    let tool = Self.products.appendingPathComponent("rd-train").path
    let launcher = try ranks.map { [try #require(Self.mpirun), "--oversubscribe", "-n", String($0)] } ?? []
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = launcher + [tool] + arguments
    process.currentDirectoryURL = folder
    let outside = ProcessInfo.processInfo.environment.filter { name, _ in
      !["OMPI_", "PMIX_", "PMI_", "SLURM_"].contains { name.hasPrefix($0) }
    }
    let root = ["OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"]
    process.environment = outside.merging(root) { $1 }.merging(environment) { $1 }
    // Files, and not pipes: nobody needs to empty them while the process runs.
    let (outputFile, errorFile) = (folder.appendingPathComponent("out"), folder.appendingPathComponent("err"))
    for file in [outputFile, errorFile] { try Data().write(to: file) }
    process.standardOutput = try FileHandle(forWritingTo: outputFile)
    process.standardError = try FileHandle(forWritingTo: errorFile)
    try process.run()
    process.waitUntilExit()
    return Outcome(
      code: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
      output: try String(contentsOf: outputFile, encoding: .utf8),
      errors: try String(contentsOf: errorFile, encoding: .utf8),
      configuration: try? String(contentsOf: folder.appendingPathComponent("run/config.toml"), encoding: .utf8))
  }

  private static let required = ["--data", "a folder/with spaces", "--teacher", "random:1", "--output", "run"]
  private static let requiredFile = "data = 'd'\nteacher = 'random:1'\noutput = 'run'\n"

  // MARK: What is understood

  @Test func aRunTrainsAsTheFileAndTheOptionsSay() throws {
    let outcome = try run(
      [
        "--data", "a folder/with spaces", "--category=surface", "--image-size=32", "--max-steps", "1",
        "--no-embed-teacher", "--checkpoint-every", "500 steps", "--adam-beta1", "0.9",
      ], file: Self.requiredFile + "backbone = 'resnet18'\nmax_steps = 9\nseed = 9"
    ) { folder in
      try SyntheticDataSet.write(
        to: folder.appendingPathComponent("a folder/with spaces").path, seed: 1, imageSize: 64, trainingCount: 3,
        goodTestCount: 0, defectsPerKind: 0)
    }
    #expect(outcome.code == 0, "\(outcome.errors)")
    let configuration = try TrainingConfiguration(toml: #require(outcome.configuration), file: "config.toml")
    #expect(configuration.data == "a folder/with spaces" && configuration.imageSize == 32)
    #expect(configuration.maxSteps == 1 && configuration.seed == 9 && configuration.backbone == .resNet18)
    #expect(!configuration.embedTeacher && configuration.checkpointEvery == .steps(500))
    #expect(configuration.adamBeta1 == 0.9)
    #expect(outcome.errors.contains("UNTRAINED") && outcome.errors.contains("run/checkpoints/step-00000001.h5"))
  }

  @Test func anotherFileTakesThePlaceOfTheFoldersOwn() throws {
    let outcome = try run(["--config", "other.toml"], file: "x = 1") { folder in
      try Data(Self.requiredFile.utf8).write(to: folder.appendingPathComponent("other.toml"))
    }
    #expect(outcome.code == 65 && outcome.errors == "rd-train: d: no such folder\n")
    let missing = try run(["--config", "other.toml"], file: Self.requiredFile)
    #expect(missing.code == 78)
    #expect(missing.errors.hasPrefix("rd-train: other.toml: cannot be read: No such file or directory"))
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

  @Test func versionIsTheProducts() throws {
    let outcome = try run(["--version"])
    #expect(outcome.code == 0 && outcome.output == "rd-train 0.1.0\n")
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
    let absent = try run(["--data", "elsewhere"], file: Self.requiredFile)
    #expect(absent.code == 65 && absent.errors == "rd-train: elsewhere: no such folder\n")
    #expect(absent.configuration == nil)
    let empty = try run([], file: Self.requiredFile) { folder in
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent("d/train/good"), withIntermediateDirectories: true)
    }
    #expect(empty.code == 65 && empty.errors.hasPrefix("rd-train: d/train/good: no pictures\n"))
  }

  // MARK: Ranks

  @Test(arguments: ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"])
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

  @Test func aRankOfMpirunInASlurmJobIsNotTheJobsFirstProcess() throws {
    let outcome = try run([], environment: ["OMPI_COMM_WORLD_RANK": "1", "SLURM_PROCID": "0"])
    #expect(outcome.code == 64 && outcome.errors.isEmpty)
  }

  @Test(
    .enabled(if: mpirun != nil),
    arguments: [
      (nil, 64, "--data is missing"), ("seeed = 1", 78, "unknown key 'seeed'"), (requiredFile, 65, "d: no such folder"),
      (requiredFile + "logical_shards = 3", 64, "4 ranks cannot share 3 logical shards"),
    ])
  func underMpirunAnErrorIsSaidOnce(file: String?, code: Int32, message: String) throws {
    let outcome = try run([], file: file, ranks: 4)
    #expect(outcome.code == code)
    #expect(outcome.errors.components(separatedBy: message).count == 2)
  }
}
