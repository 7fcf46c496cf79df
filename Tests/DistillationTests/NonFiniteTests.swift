import Collectives
import Diagnostics
import Distillation
import Network
import Numerics
import TestSupport
import Testing
import Training

/// Numbers that are not finite, put into every layer on each of several ranks: all ranks stop before a weight changes.
@Suite struct NonFiniteTests {
  private static let architecture = Architecture(ModelConfiguration(backbone: .resNet18, imageSize: 32))

  /// What a rank found, and whether all that is learnt was as before.
  private struct Finding: Sendable {
    let place: String
    let images: [Int]?
    let isUnchanged: Bool
  }

  /// Makes a step on some ranks, of which one is tampered with. Each rank has two images.
  private static func step(
    ranks: Int, of broken: Int, before: @escaping @Sendable (Parameters, FeatureBuffer) -> Void = { _, _ in },
    afterwards: @escaping @Sendable (Parameters) -> Void = { _ in }
  ) throws -> [Finding] {
    try LocalCommunicator.run(size: ranks) { communicator in
      let tree = try ShardTree(shards: ranks, ranks: ranks)
      let team = ThreadTeam(count: 1)
      defer { team.finish() }
      let step = TrainingStep(
        engine: VectorEngine(team: team, precision: .fp32), tree: tree, communicator: communicator, capacity: 2)
      let student = Student(architecture, step: step)
      try student.initialize(seed: 1)
      let adam = Adam(
        step.parameters, learningRate: 0.005, beta1: 0.5, beta2: 0.999, tree: tree, communicator: communicator,
        team: team)
      let features = FeatureBuffer(architecture, images: 2)
      for image in 0..<2 {
        let values = randomNumbers(
          FeatureBuffer.countPerImage(architecture), seed: UInt64(2 * communicator.rank + image))
        features.copy(from: values, toImage: image)
      }
      let isBroken = communicator.rank == broken
      if isBroken { before(step.parameters, features) }
      step.begin(imagesPerShard: [2], batch: 2 * ranks)
      func weights() -> [UInt32] {
        [step.parameters.weights, step.parameters.affine].flatMap { arena in
          (0..<arena.count).map { arena.values[$0].bitPattern }
        }
      }
      let untouched = weights()
      do {
        _ = try student.lossAndGradients(features.features)
        if isBroken { afterwards(step.parameters) }
        try adam.update(step: 1)
        return Finding(place: "", images: nil, isUnchanged: weights() == untouched)
      } catch let found as NonFiniteNumbers {
        return Finding(place: found.place, images: found.images, isUnchanged: weights() == untouched)
      }
    }
  }

  @Test func aStepThatIsWellChangesTheWeights() throws {
    let findings = try Self.step(ranks: 2, of: 0)
    #expect(findings.allSatisfy { $0.place.isEmpty && !$0.isUnchanged })
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func inAnyLayerOnAnyRank(value: Float) throws {
    let units = Self.architecture.studentUnits
    let chosen = Thoroughness.isFull ? Array(units.indices) : Array(stride(from: 0, to: units.count, by: 6))
    var cases = 0
    for ranks in [1, 3] {
      for broken in 0..<ranks {
        for unit in chosen {
          let name = "\(units[unit].convolution).weight"
          let findings = try Self.step(
            ranks: ranks, of: broken,
            before: { parameters, _ in
              for entry in parameters.weights.entries where entry.name == name {
                parameters.weights.values[entry.offset] = value
              }
            })
          cases += 1
          for (rank, finding) in findings.enumerated() {
            #expect(finding.place == "layer \(units[unit].normalization)", "\(name) on rank \(broken)")
            #expect(finding.images == (rank == broken ? [0, 1] : []), "\(name) on rank \(broken)")
            #expect(finding.isUnchanged)
          }
        }
      }
    }
    Thoroughness.report(
      "\(value) in \(cases) layers and ranks: all ranks stopped, layer, rank and images named, no weight changed")
  }

  /// One image of one rank.
  @Test func inAnImage() throws {
    let findings = try Self.step(
      ranks: 2, of: 1,
      before: { _, features in
        var values = [Float](repeating: 1, count: FeatureBuffer.countPerImage(Self.architecture))
        values[7] = .nan
        features.copy(from: values, toImage: 1)
      })
    #expect(findings.map(\.images) == [[], [1]])
    #expect(findings.allSatisfy { $0.place.hasPrefix("layer bn.") && $0.isUnchanged })
  }

  /// Gradients that are not finite, and those whose squares are not, though every layer was well.
  @Test(arguments: [Float.nan, .infinity, 1e30])
  func inAGradient(value: Float) throws {
    for ranks in [1, 2, 3] {
      for broken in 0..<ranks {
        let findings = try Self.step(
          ranks: ranks, of: broken, afterwards: { parameters in parameters.weightGradients.pointer[5] = value })
        let name = Self.architecture.studentUnits[0].convolution
        for (rank, finding) in findings.enumerated() {
          #expect(finding.place.hasPrefix("the gradient of \(name)"), "\(finding.place)")
          #expect(finding.isUnchanged)
          // Where the first rank alone adds it up, no rank knows whose part it was.
          #expect(finding.images == (broken == 0 || rank == broken ? nil : []), "rank \(rank), not \(broken)")
        }
        let affine = try Self.step(
          ranks: ranks, of: broken,
          afterwards: { parameters in
            for index in 0..<parameters.affine.count { parameters.affineGradients.pointer[index] = value }
          })
        #expect(affine.allSatisfy { $0.place.hasPrefix("the gradient of ") && $0.isUnchanged })
      }
    }
  }
}
