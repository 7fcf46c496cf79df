import Collectives
import Foundation
import Numerics
import TestSupport
import Testing

@testable import Distillation
@testable import Training

/// Steps of Adam against PyTorch's in double precision.
@Suite struct TrajectoryTests {
  struct Case: Decodable {
    let backbone: Backbone
    let preset: String
    let loss: DistillationLoss
    let fusion: Fusion
    let seed: UInt64
    let batch, size, steps: Int
    let learningRate, beta1, beta2, epsilon: Double
    let lossesF8, float32LossesF8: Data
  }

  @Test(arguments: 0..<2, EngineKind.exact)
  func lossesFollowPyTorchs(index: Int, kind: EngineKind) throws {
    let cases = try fixture("trajectory", in: .module, as: [Case].self)
    #expect(cases.count == 2)
    let example = cases[index]
    let network = try NetworkExample(
      ModelConfiguration(
        backbone: example.backbone, loss: example.loss, fusion: example.fusion, imageSize: example.size),
      seed: example.seed, batch: example.batch)
    try kind.with(threads: 2) { engine in
      let communicator = LocalCommunicator()
      let (student, tree) = try network.student(engine: engine, shards: 4, over: communicator)
      let adam = Adam(
        student.step.parameters, learningRate: example.learningRate, beta1: example.beta1, beta2: example.beta2,
        tree: tree, communicator: communicator, team: engine.team)
      let features = try (0..<3).map { try network.features("images\($0)", engine: engine) }
      let expected = example.lossesF8.numbers(Double.self)
      #expect(expected.count == example.steps)
      for step in 0..<example.steps {
        student.step.begin(imagesPerShard: counts(example.batch, shards: 4), batch: example.batch)
        let loss = try student.lossAndGradients(features[step % 3].features)
        try adam.update(step: step + 1)
        let error = abs(loss / expected[step] - 1)
        Measured.note("trajectory \(example.preset) \(kind)", error)
        #expect(error < 5e-4, "\(example.preset), \(kind), step \(step): \(loss), not \(expected[step])")
      }
    }
  }
}
