import Collectives
import Diagnostics
import Distillation
import Foundation
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

  /// What is done to a rank.
  private struct Tampering: Sendable {
    var before: @Sendable (Parameters, FeatureBuffer) -> Void = { _, _ in }
    var afterwards: @Sendable (Parameters) -> Void = { _ in }
  }

  /// Makes steps on some ranks, each from the same state, of which one is tampered with before its forward pass or after its backward pass.
  /// Each rank has two images.
  /// - Returns: for each step what the ranks found.
  private static func steps(
    ranks: Int, of broken: Int, precision: Precision = .fp32, _ tamperings: [Tampering]
  ) throws -> [[Finding]] {
    let found = try LocalCommunicator.run(size: ranks) { communicator in
      let tree = try ShardTree(shards: ranks, ranks: ranks)
      let team = ThreadTeam(count: 1)
      defer { team.finish() }
      let step = TrainingStep(
        engine: VectorEngine(team: team, precision: precision), tree: tree, communicator: communicator, capacity: 2)
      let student = Student(architecture, step: step)
      try student.initialize(seed: 1)
      let adam = Adam(
        step.parameters, learningRate: 0.005, beta1: 0.5, beta2: 0.999, tree: tree, communicator: communicator,
        team: team)
      let arenas = [step.parameters.weights, step.parameters.affine]
      func copy() -> [[Float]] { arenas.map { Array(UnsafeBufferPointer(start: $0.values, count: $0.count)) } }
      let initial = copy()
      return try tamperings.map { tampering in
        for (arena, values) in zip(arenas, initial) { arena.values.update(from: values, count: values.count) }
        let features = FeatureBuffer(architecture, images: 2)
        for image in 0..<2 {
          let values = randomNumbers(
            FeatureBuffer.countPerImage(architecture), seed: UInt64(2 * communicator.rank + image))
          features.copy(from: values, toImage: image)
        }
        let isBroken = communicator.rank == broken
        if isBroken { tampering.before(step.parameters, features) }
        step.begin(imagesPerShard: [2], batch: 2 * ranks)
        let untouched = copy()
        func areUnchanged() -> Bool {
          zip(arenas, untouched).allSatisfy { memcmp($0.values, $1, $1.count * MemoryLayout<Float>.stride) == 0 }
        }
        do {
          _ = try student.lossAndGradients(features.features)
          if isBroken { tampering.afterwards(step.parameters) }
          try adam.update(step: 1)
          return Finding(place: "", images: nil, isUnchanged: areUnchanged())
        } catch let found as NonFiniteNumbers {
          return Finding(place: found.place, images: found.images, isUnchanged: areUnchanged())
        }
      }
    }
    return tamperings.indices.map { index in found.map { $0[index] } }
  }

  @Test func aStepThatIsWellChangesTheWeights() throws {
    let findings = try Self.steps(ranks: 2, of: 0, [Tampering()])[0]
    #expect(findings.allSatisfy { $0.place.isEmpty && !$0.isUnchanged })
  }

  @Test(arguments: Precision.allCases)
  func inAnyLayerOnAnyRank(precision: Precision) throws {
    let units = Self.architecture.studentUnits
    let chosen = Thoroughness.isFull ? Array(units) : stride(from: 0, to: units.count, by: 6).map { units[$0] }
    let values = [Float.nan, .infinity, -.infinity]
    let cases = chosen.flatMap { unit in values.map { (unit: unit, value: $0) } }
    var places = 0
    for ranks in [1, 3] {
      for broken in 0..<ranks {
        places += chosen.count
        let steps = try Self.steps(
          ranks: ranks, of: broken, precision: precision,
          cases.map { unit, value in
            Tampering(before: { parameters, _ in
              for entry in parameters.weights.entries where entry.name == "\(unit.convolution).weight" {
                parameters.weights.values[entry.offset] = value
              }
            })
          })
        for ((unit, value), findings) in zip(cases, steps) {
          for (rank, finding) in findings.enumerated() {
            #expect(
              finding.place == "layer \(unit.normalization)", "\(value) in \(unit.convolution) on rank \(broken)")
            #expect(
              finding.images == (rank == broken ? [0, 1] : []), "\(value) in \(unit.convolution) on rank \(broken)")
            #expect(finding.isUnchanged)
          }
        }
      }
    }
    Thoroughness.report(
      "\(values) in \(places) layers and ranks each: all ranks stopped, layer, rank and images named, no weight changed"
    )
  }

  /// One image of one rank.
  @Test func inAnImage() throws {
    let tampering = Tampering(before: { _, features in
      var values = [Float](repeating: 1, count: FeatureBuffer.countPerImage(Self.architecture))
      values[7] = .nan
      features.copy(from: values, toImage: 1)
    })
    let findings = try Self.steps(ranks: 2, of: 1, [tampering])[0]
    #expect(findings.map(\.images) == [[], [1]])
    #expect(findings.allSatisfy { $0.place.hasPrefix("layer bn.") && $0.isUnchanged })
  }

  /// Gradients that are not finite, and those whose squares are not, though every layer was well.
  @Test func inAGradient() throws {
    let values = [Float.nan, .infinity, 1e30]
    let inWeights = values.map { value in
      Tampering(afterwards: { parameters in parameters.weightGradients[5] = value })
    }
    let inAffine = values.map { value in
      Tampering(afterwards: { parameters in
        for index in 0..<parameters.affine.count { parameters.affineGradients.pointer[index] = value }
      })
    }
    for ranks in [1, 2, 3] {
      for broken in 0..<ranks {
        let steps = try Self.steps(ranks: ranks, of: broken, inWeights + inAffine)
        let name = Self.architecture.studentUnits[0].convolution
        for findings in steps.prefix(values.count) {
          for (rank, finding) in findings.enumerated() {
            #expect(finding.place.hasPrefix("the gradient of \(name)"), "\(finding.place)")
            #expect(finding.isUnchanged)
            // Where the first rank alone adds it up, no rank knows whose part it was.
            #expect(finding.images == (broken == 0 || rank == broken ? nil : []), "rank \(rank), not \(broken)")
          }
        }
        for findings in steps.suffix(values.count) {
          #expect(findings.allSatisfy { $0.place.hasPrefix("the gradient of ") && $0.isUnchanged })
        }
      }
    }
  }
}
