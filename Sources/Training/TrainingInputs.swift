import Collectives
import Diagnostics
import Distillation
import Imagery
import Jobs

/// What a run is made of before anything large is built, found to be right and the same on all ranks.
struct TrainingInputs {
  let architecture: Architecture
  let tree: ShardTree
  let manifest: ImageManifest
  let order: EpochOrder
  let teacher: TeacherWeights

  /// Collective.
  /// - Parameter ranks: how many share the work.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  init(_ configuration: TrainingConfiguration, ranks: Int, over communicator: any Communicator) throws {
    try communicator.comparePrograms()
    for (key, value) in configuration.commonValues {
      try communicator.compareAcrossRanks(
        value, what: "the configuration: \(key.rawValue)", hint: "give all ranks the same configuration file")
    }
    tree = try communicator.agree { try ShardTree(shards: configuration.logicalShards, ranks: ranks) }
    let architecture = Architecture(configuration.model)
    self.architecture = architecture

    manifest = try communicator.agree {
      try MVTecDataSet.training(at: configuration.data, category: configuration.category)
    }
    try communicator.compareAcrossRanks(manifest.fingerprint, what: "the training images (names and sizes)")
    let order = EpochOrder(
      images: manifest.images.count, shards: configuration.logicalShards, batchSize: configuration.batchSize,
      seed: configuration.seed)
    self.order = order
    try communicator.agree { try requireNormalizableBatches(order, architecture) }

    teacher = try communicator.agree { try TeacherWeights(source: configuration.teacher, for: architecture) }
    try communicator.compareAcrossRanks(teacher.hash, what: "the teacher's weights")
  }
}

/// Batch normalisation needs more than one value a channel.
private func requireNormalizableBatches(_ order: EpochOrder, _ architecture: Architecture) throws {
  let smallest = order.batch(ofStep: order.stepsPerEpoch - 1)
  let pixels = architecture.side(ofScale: 4) * architecture.side(ofScale: 4)
  guard smallest * pixels > 1 else {
    throw Failure(
      .configuration,
      "the last batch of an epoch is one image, whose embedding at \(architecture.model.imageSize) pixels is one value a "
        + "channel: nothing to normalise over", hint: "choose another --batch-size, or larger images")
  }
}
