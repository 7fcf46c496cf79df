import Diagnostics
import Distillation
import Foundation
import Imagery
import Network
import Numerics
import TestSupport
import Testing

@testable import Collectives
@testable import Training

/// What a plan says against what is.
@Suite(.serialized) struct PlanTests {
  /// A data set of ten images, and a configuration over it.
  private static func configuration(
    in folder: TemporaryFolder, imageSize: Int = 32, _ change: (inout TrainingConfiguration) -> Void = { _ in }
  ) throws -> TrainingConfiguration {
    try SyntheticDataSet.write(
      to: folder("data"), seed: 1, imageSize: 64, trainingCount: 10, goodTestCount: 0, defectsPerKind: 0)
    var configuration = TrainingConfiguration(
      data: folder("data/surface"), teacher: "random:1", output: folder("run"))
    configuration.backbone = .resNet18
    configuration.imageSize = imageSize
    configuration.batchSize = 8
    configuration.threads = 1
    change(&configuration)
    return configuration
  }

  /// The busiest rank's exchanges are those that some rank really makes in a step.
  @Test(arguments: [1, 2, 3])
  func bytesAreThoseOfARealStep(ranks: Int) throws {
    let folder = try TemporaryFolder()
    let configuration = try Self.configuration(in: folder)
    let plan = try TrainingPlan(configuration, ranks: ranks, over: LocalCommunicator())
    let real = try LocalCommunicator.run(size: ranks) { base in
      let communicator = CountingCommunicator(base)
      let inputs = try TrainingInputs(configuration, ranks: ranks, over: base)
      let team = ThreadTeam(count: 1)
      defer { team.finish() }
      let rank = try TrainingRank(configuration, inputs, over: communicator, team: team)
      try rank.student.initialize(seed: 1)
      let shards = inputs.tree.shards(of: base.rank)
      let one = FloatBuffer(
        (0..<FeatureBuffer.countPerImage(inputs.architecture)).map { Float($0 * 7919 % 1009) / 1009 - 0.5 })
      rank.student.step.begin(
        imagesPerShard: shards.map { inputs.order.places(ofStep: 0, shard: $0).count },
        batch: inputs.order.batch(ofStep: 0))
      for image in 0..<rank.student.step.images { rank.features.copy(from: one.pointer, toImage: image) }
      _ = try rank.student.lossAndGradients(rank.features.features)
      try rank.adam.update(step: 1)
      return communicator.exchanges
    }
    let planned = plan.traffic.map(\.exchanges)
    // Statistics, then gradients, then weights; the loss comes between statistics.
    #expect(planned.map(\.count).reduce(0, +) == real[0].count)
    #expect(real.contains { same($0, planned.flatMap { $0 }) })
    if ranks == 1 {
      #expect(planned.allSatisfy { $0.isEmpty })
    } else {
      let parameters = Architecture(configuration.model).studentUnits.reduce(0) { $0 + $1.shape.weightCount }
      let weights = try #require(plan.traffic.last)
      // Before the weights go, each rank says how large its gradients are.
      #expect(weights.purpose == "weights" && planned[3].count == 2)
      #expect(abs(weights.received - 4 * parameters * (ranks - 1) / ranks) <= 4 * 16 * ranks)
      // A loss is three sums, of each node of the tree.
      #expect(planned[1].count == 1 && planned[1][0].received % 24 == 0)
    }
  }

  private func same(_ left: [Exchange], _ right: [Exchange]) -> Bool {
    func key(_ exchange: Exchange) -> [Int] {
      [exchange.kind == .allGather ? 0 : 1, exchange.sent, exchange.received]
    }
    return left.map(key).sorted { $0.lexicographicallyPrecedes($1) }
      == right.map(key).sorted { $0.lexicographicallyPrecedes($1) }
  }

  /// A whole run in a process of its own: features, steps, scores of the normal images, checkpoint.
  @Test(arguments: [(128, 16), (256, 8)])
  func memoryIsThatOfARealRun(imageSize: Int, batchSize: Int) throws {
    let folder = try TemporaryFolder()
    let configuration = try Self.configuration(in: folder, imageSize: imageSize) {
      $0.batchSize = batchSize
      $0.maxSteps = 2
    }
    // Planned in a process of its own as well, which has a run's size before anything is built.
    let options = [
      "--data", configuration.data, "--teacher", "random:1", "--output", configuration.output, "--backbone", "resnet18",
      "--image-size", "\(imageSize)", "--batch-size", "\(batchSize)", "--threads", "1", "--max-steps", "2",
    ]
    let plan = try ToolProcess.run("rd-train", options + ["--plan"])
    let planned = try #require(plan.output.firstMatch(of: /most at a time\s+([\d.]+)/).flatMap { Double($0.1) })
    let run = try ToolProcess.run("training-probe", ["peak", configuration.toml])
    try #require(run.code == 0, "\(run.errors)")
    let kibibytes = try #require(Double(run.output.filter { !$0.isWhitespace }))
    let error = planned / (kibibytes / 1024) - 1
    Measured.note("planned memory, \(imageSize) pixels", abs(error))
    #expect(abs(error) < 0.1, "planned \(planned) MiB, taken \(kibibytes / 1024) MiB")
  }

  @Test func theMemoryOfMoreRanksIsLess() throws {
    let folder = try TemporaryFolder()
    let configuration = try Self.configuration(in: folder)
    let plans = try [1, 2, 8].map { try TrainingPlan(configuration, ranks: $0, over: LocalCommunicator()) }
    func bytes(_ purpose: String) -> [Int] { plans.map { $0.memory.first { $0.purpose == purpose }?.bytes ?? 0 } }
    #expect(Set(bytes("weights")).count == 1)
    for purpose in ["Adam's moments", "activations of the student", "features of a step", "features kept"] {
      #expect(zip(bytes(purpose), bytes(purpose).dropFirst()).allSatisfy { $0 > $1 }, "\(purpose)")
    }
    #expect(plans.map(\.batch) == [8, 8, 8] && plans[0].stepsPerEpoch == 2)
    #expect(!FileManager.default.fileExists(atPath: configuration.output))
  }

  /// Test images that are scored on the way take memory for their pixels; of other runs nothing is said.
  @Test(arguments: [(2, 8), (3, 3)])
  func evaluatingOnTheWayIsPlanned(ranks: Int, testImages: Int) throws {
    let folder = try TemporaryFolder()
    var configuration = try Self.configuration(in: folder)
    func scoring() throws -> [Int] {
      try TrainingPlan(configuration, ranks: ranks, over: LocalCommunicator()).memory
        .filter { $0.purpose == "scoring the test images" && $0.isTransient }.map(\.bytes)
    }
    #expect(try scoring().isEmpty)
    configuration.evaluateEvery = .epochs(1)
    var bytes: [Int] = []
    for count in [testImages, testImages + 4 * ranks] {
      let data = folder("test \(count)")
      try SyntheticDataSet.write(
        to: data, seed: 1, imageSize: 64, trainingCount: 1, goodTestCount: count, defectsPerKind: 0)
      configuration.evaluationData = "\(data)/surface"
      bytes += try scoring()
    }
    try #require(bytes.count == 2)
    // Four images of a rank, whose numbers have four bytes, as they are sorted.
    #expect(bytes[1] - bytes[0] == 4 * 32 * 32 * 4 * 4)
  }

  @Test func anExchangeTakesItsRoundsAndItsBytes() throws {
    let link = try NetworkLink("latency 100us, bandwidth 8Gbit/s")
    func seconds(_ kind: Exchange.Kind, _ bytes: Int, ranks: Int, sharing: Int = 1) -> Double {
      link.seconds(Exchange(kind: kind, sent: bytes, received: bytes), ranks: ranks, sharing: sharing)
    }
    func near(_ left: Double, _ right: Double) -> Bool { abs(left - right) < 1e-9 }
    #expect(near(link.latency, 100e-6) && link.bandwidth == 8e9)
    #expect(near(seconds(.allToAll, 1_000_000, ranks: 8), 100e-6 + 1e-3))
    #expect(near(seconds(.allToAll, 1_000_000, ranks: 8, sharing: 4), 100e-6 + 4e-3))
    #expect(near(seconds(.allGather, 1_000, ranks: 2), 100e-6 + 1e-6))
    #expect(near(seconds(.allGather, 1_000, ranks: 5), 300e-6 + 1e-6))
    #expect(near(seconds(.allGather, 1_000, ranks: 512), 900e-6 + 1e-6))
    #expect(near(seconds(.allGather, 1_000_000, ranks: 5), 400e-6 + 1e-3))
  }

  @Test(arguments: [
    "", "latency 50us", "bandwidth 1Gbit/s", "latency 50, bandwidth 1Gbit/s", "latency 50us, bandwidth 0Gbit/s",
    "latency 50us, latency 50us", "latency -1us, bandwidth 1Gbit/s", "latency 50us, bandwidth 1Gbit/s, x 1us",
    "latency 1e300s, bandwidth 1Gbit/s", "latency 50us, bandwidth 1e-300kbit/s", "latency 50us, bandwidth 1e300Gbit/s",
  ])
  func otherLinksAreRefused(text: String) throws {
    #expect {
      try NetworkLink(text)
    } throws: {
      ($0 as? Failure)?.code == .usage
    }
  }
}
