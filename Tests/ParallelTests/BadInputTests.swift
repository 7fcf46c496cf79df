import Distillation
import Foundation
import TensorFiles
import TestSupport
import Testing

extension ParallelTests {
  /// Bad input under mpirun: said once, with its exit code, and every rank ends.
  @Suite struct BadInput {
    /// Trains on two ranks, which is to fail.
    private static func expectFailure(
      _ options: [String], code: Int32, saying parts: [String], ranks: Int = 2, output: String? = nil,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let folder = try TemporaryFolder()
      let outcome = try Workplace.train(options, output: output ?? folder("run"), ranks: ranks)
      #expect(outcome.code == code, "\(outcome.errors)", sourceLocation: sourceLocation)
      #expect(outcome.count(of: "rd-train: ") == 1, "\(outcome.errors)", sourceLocation: sourceLocation)
      for part in parts {
        #expect(outcome.count(of: part) == 1, "\(part): \(outcome.errors)", sourceLocation: sourceLocation)
      }
      #expect(!outcome.errors.contains("sha256"), sourceLocation: sourceLocation)
    }

    /// A copy of the training images, with whatever is done to their folder.
    private static func images(_ change: (_ folder: String) throws -> Void) throws -> TemporaryFolder {
      let folder = try TemporaryFolder()
      try FileManager.default.createDirectory(atPath: folder("surface/train"), withIntermediateDirectories: true)
      let images = folder("surface/train/good")
      try FileManager.default.copyItem(atPath: Workplace.data() + "/surface/train/good", toPath: images)
      try change(images)
      return folder
    }

    // MARK: Numbers and configurations

    @Test func numbersThatAreNotFinite() throws {
      try Self.expectFailure(
        ["--learning-rate", "1e30"], code: 70,
        saying: ["numbers that are not finite, with these images:", "layer "])
    }

    /// Weights that a network can have, but not a trained one.
    @Test func aTeacherWhoseFeaturesAreNotFinite() throws {
      let folder = try TemporaryFolder()
      let file = folder("huge.safetensors")
      let teacher = try TeacherWeights(
        randomWithSeed: 1, for: Architecture(ModelConfiguration(backbone: .resNet18, imageSize: 32)))
      let huge = teacher.table.tensors.map { tensor in
        NamedTensor(name: tensor.name, shape: tensor.shape, values: tensor.values.map { $0 * 1e6 })
      }
      try Self.safetensors(huge).write(to: URL(fileURLWithPath: file))
      try Self.expectFailure(
        ["--teacher", file], code: 70,
        saying: ["surface/train/good/", "the teacher makes numbers of it that are not finite"])
    }

    /// As with folders that the hosts do not share.
    @Test func ranksThatAreToldDifferently() throws {
      let folder = try TemporaryFolder()
      let outcome = try ToolProcess.run(
        "rd-train", Workplace.standardOptions() + ["--output", folder("run")], ranks: 2,
        shell: #"[ $OMPI_COMM_WORLD_RANK = 1 ] || set -- "$@" --seed 2"#)
      #expect(outcome.code == 65, "\(outcome.errors)")
      #expect(outcome.count(of: "the ranks differ in the configuration: seed") == 1, "\(outcome.errors)")
    }

    /// As with hosts of which one was forgotten when the program was built anew.
    @Test func ranksOfDifferentPrograms() throws {
      let folder = try TemporaryFolder()
      try FileManager.default.copyItem(atPath: ToolProcess.builtTool("rd-train"), toPath: folder("rd-train"))
      let copy = try FileHandle(forUpdating: URL(fileURLWithPath: folder("rd-train")))
      try copy.seekToEnd()
      try copy.write(contentsOf: [0])
      try copy.close()
      let outcome = try ToolProcess.run(
        "rd-train", Workplace.standardOptions() + ["--output", folder("run")], ranks: 2,
        shell: #"[ $OMPI_COMM_WORLD_RANK = 0 ] || set -- "\#(folder("rd-train"))" "${@:2}""#)
      #expect(outcome.code == 65, "\(outcome.errors)")
      #expect(outcome.count(of: "the ranks differ in the program (SHA-256 of its file)") == 1, "\(outcome.errors)")
      #expect(outcome.count(of: ": rank 1 on ") == 1, "\(outcome.errors)")
    }

    /// As with a configuration that another host has an older version of: rank 0 waits for it in MPI's own start.
    @Test func aRankThatIsToldNonsense() throws {
      let folder = try TemporaryFolder()
      let outcome = try ToolProcess.run(
        "rd-train", Workplace.standardOptions() + ["--output", folder("run")], ranks: 2,
        shell: #"[ $OMPI_COMM_WORLD_RANK = 0 ] || set -- "$@" --epochs 0"#)
      #expect(outcome.code == 64, "\(outcome.errors)")
      #expect(
        outcome.count(of: "rd-train: rank 1 (") == 1 && outcome.count(of: "--epochs 0: must be") == 1,
        "\(outcome.errors)")
    }

    // MARK: Images

    @Test func aFolderThatIsNotThere() throws {
      try Self.expectFailure(["--data", "/nowhere"], code: 65, saying: ["/nowhere: no such folder"])
      try Self.expectFailure(
        ["--category", "cloth"], code: 65, saying: ["/cloth: no such folder", "did you mean --category surface?"])
    }

    @Test func aFolderWithoutImages() throws {
      let data = try Self.images { folder in
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
          try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
        }
      }
      try Self.expectFailure(["--data", data.path], code: 65, saying: ["surface/train/good: no pictures"])
    }

    @Test(arguments: ["auto", "off"])
    func aTruncatedImage(cache: String) throws {
      let data = try Self.images { try truncate("\($0)/007.png") }
      try Self.expectFailure(
        ["--data", data.path, "--feature-cache", cache], code: 65, saying: ["surface/train/good/007.png: "])
    }

    @Test func aTextThatIsNamedAsAnImage() throws {
      let data = try Self.images { try Data("not a picture\n".utf8).write(to: URL(fileURLWithPath: "\($0)/003.png")) }
      try Self.expectFailure(["--data", data.path], code: 65, saying: ["surface/train/good/003.png: "])
    }

    @Test func fewerImagesThanShardsWork() throws {
      let data = try Self.images { folder in
        for number in 3..<10 { try FileManager.default.removeItem(atPath: "\(folder)/00\(number).png") }
      }
      let options = ["--data", data.path, "--max-steps", "1"]
      let alone = try Workplace.trained(options)
      // Three images over eight shards on five ranks: two have none.
      #expect(try Workplace.trained(options, ranks: 5).hashes == alone.hashes)
    }

    @Test func aBatchThatCannotBeNormalised() throws {
      try Self.expectFailure(
        ["--batch-size", "3"], code: 78, saying: ["the last batch of an epoch is one image", "another --batch-size"])
    }

    // MARK: Teachers and checkpoints

    @Test func aTeacherOfAnotherArchitecture() throws {
      let folder = try TemporaryFolder()
      let file = folder("resnet34.safetensors")
      let deep = Architecture(ModelConfiguration(backbone: .resNet34, imageSize: 32))
      let teacher = try TeacherWeights(randomWithSeed: 1, for: deep)
      try Self.safetensors(teacher.table.tensors).write(to: URL(fileURLWithPath: file))
      try Self.expectFailure(
        ["--teacher", file], code: 65,
        saying: [
          "\(file): ", "tensors have no place in resnet18: ", "layer1.2.bn1.bias", "choose --backbone accordingly",
        ])
      try Self.expectFailure(
        ["--teacher", file, "--backbone", "resnet50"], code: 65,
        saying: ["\(file): tensor \"layer1.0.", "another architecture"])
      let same = try Workplace.train(
        ["--teacher", file, "--backbone", "resnet34", "--max-steps", "1"], output: folder("run"), ranks: 2)
      #expect(same.code == 0, "\(same.errors)")
    }

    private static func safetensors(_ tensors: [NamedTensor]) throws -> Data {
      var (header, values) = ([String: [String: Any]](), Data())
      for tensor in tensors {
        let start = values.count
        tensor.values.withUnsafeBytes { values.append(contentsOf: $0) }
        header[tensor.name] = ["dtype": "F32", "shape": tensor.shape, "data_offsets": [start, values.count]]
      }
      let json = try JSONSerialization.data(withJSONObject: header)
      return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Data($0) } + json + values
    }

    @Test func aTeacherThatIsNotThere() throws {
      try Self.expectFailure(["--teacher", "/nowhere.pth"], code: 65, saying: ["/nowhere.pth: "])
    }

    @Test func aTruncatedCheckpoint() throws {
      let folder = try TemporaryFolder()
      let file = folder("truncated.h5")
      try FileManager.default.copyItem(atPath: Workplace.standard().checkpoint(5), toPath: file)
      try truncate(file)
      try Self.expectFailure(["--resume", file], code: 65, saying: ["\(file): "])
      try Self.expectFailure(["--resume", "/nowhere.h5"], code: 65, saying: ["/nowhere.h5: "])
    }

    // MARK: The configuration

    @Test func anImageSizeThatIsNoMultipleOf32() throws {
      try Self.expectFailure(["--image-size", "100"], code: 64, saying: ["--image-size 100: must be a multiple of 32"])
    }

    @Test func moreRanksThanShards() throws {
      try Self.expectFailure(
        ["--logical-shards", "2"], code: 64,
        saying: ["3 ranks cannot share 2 logical shards", "start at most 2 ranks"], ranks: 3)
    }

    @Test func anUnknownKey() throws {
      let folder = try TemporaryFolder()
      try Data("batchsize = 3\n".utf8).write(to: folder.url.appendingPathComponent("run.toml"))
      try Self.expectFailure(
        ["--config", folder("run.toml")], code: 78,
        saying: ["run.toml:1: unknown key 'batchsize'; did you mean 'batch_size'?"])
    }

    @Test func anOutputThatIsAFile() throws {
      let folder = try TemporaryFolder()
      try Data().write(to: folder.url.appendingPathComponent("run"))
      try Self.expectFailure([], code: 74, saying: [folder("run") + ": cannot be made"], output: folder("run"))
      try Self.expectFailure([], code: 74, saying: ["cannot be made"], output: folder("run/below"))
    }

    @Test func aPrecisionThatTheEngineHasNot() throws {
      try Self.expectFailure(
        ["--engine", "openblas", "--precision", "bf16"], code: 78,
        saying: ["the engine openblas computes in fp32 only", "use the engine vector"])
    }

    /// As on machines of two kinds: OpenBLAS takes its kernels after the processor.
    @Test func ranksThatComputeDifferently() throws {
      let folder = try TemporaryFolder()
      let options = try Workplace.standardOptions() + ["--engine", "openblas", "--output", folder("run")]
      let outcome = try ToolProcess.run(
        "rd-train", options, ranks: 2, environment: ["OPENBLAS_CORETYPE": "Haswell"],
        shell: "[ $OMPI_COMM_WORLD_RANK = 0 ] || export OPENBLAS_CORETYPE=Prescott")
      #expect(outcome.code == 65, "\(outcome.errors)")
      for part in [
        "the ranks differ in how their processors compute", ": rank 0 on", ": rank 1 on",
        "use machines of one kind",
      ] {
        #expect(outcome.count(of: part) == 1, "\(part): \(outcome.errors)")
      }
    }
  }
}
