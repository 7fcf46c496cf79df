import Collectives
import Diagnostics
import Distillation
import Imagery
import Jobs
import Numerics
import Scoring

/// What a run is made of before anything large is built, found to be right and the same on all ranks.
struct TrainingInputs {
  let architecture: Architecture
  let tree: ShardTree
  /// The images to train on.
  let manifest: ImageManifest
  /// Normal images that are not trained on; there may be none.
  let heldOut: ImageManifest
  /// Of both, as they are in the data set.
  let dataFingerprint: String
  /// What is scored on the way; nil where nothing is.
  let testImages: TestImages?
  /// Of the network's inputs: all tiles of the first image of the manifest, then those of the second.
  let order: EpochOrder
  /// Steps of the whole run.
  let stepCount: Int
  let teacher: TeacherWeights

  /// Collective.
  /// - Parameters:
  ///   - ranks: how many share the work.
  ///   - known: the teacher, where it has been read already.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  init(
    _ configuration: TrainingConfiguration, ranks: Int, over communicator: any Communicator,
    teacher known: TeacherWeights? = nil, console: Console? = nil
  ) throws {
    try configuration.requireSame(over: communicator)
    tree = try communicator.agree { try ShardTree(shards: configuration.logicalShards, ranks: ranks) }
    let architecture = Architecture(configuration.model)
    self.architecture = architecture

    let listed = try communicator.agree {
      try configuration.dataSet.training(
        category: configuration.category, skipsUnreadable: configuration.skipUnreadable)
    }
    try communicator.compareAcrossRanks(listed.fingerprint, what: "the training images (names and sizes)")
    let all =
      configuration.skipUnreadable
      ? try listed.readable(
        resuming: RunFolder(configuration.output), configuration.resume, over: communicator, console: console) : listed
    dataFingerprint = all.fingerprint
    (manifest, heldOut) = try communicator.agree {
      try all.holdingOut(configuration.validationFraction, seed: configuration.seed)
    }
    let entries = try communicator.agree {
      try configuration.testSet.map { try $0.test(category: configuration.category) }
    }
    testImages = try entries.map {
      try TestImages($0, side: configuration.grid.side, fit: configuration.fit, over: communicator)
    }
    let order = EpochOrder(
      images: manifest.images.count * configuration.grid.count, shards: configuration.logicalShards,
      batchSize: configuration.batchSize,
      seed: configuration.seed)
    self.order = order
    stepCount = min(configuration.epochs * order.stepsPerEpoch, configuration.maxSteps ?? .max)
    try communicator.agree { try requireNormalizableBatches(order, architecture) }

    teacher = try known ?? configuration.readTeacher(over: communicator)
  }

  /// How many images are trained on.
  var imagesText: String {
    counted(manifest.images.count, "image") + (order.images > manifest.images.count ? " in \(order.images) tiles" : "")
  }
}

extension TrainingConfiguration {
  /// Makes sure that all ranks are the same program, and have been told the same. Collective.
  func requireSame(over communicator: any Communicator) throws {
    try communicator.comparePrograms()
    for (key, value) in commonValues {
      try communicator.compareAcrossRanks(
        value, what: "the configuration: \(key.rawValue)", hint: "give all ranks the same configuration file")
    }
  }

  /// The teacher, which is the same on all ranks. Collective.
  func readTeacher(over communicator: any Communicator) throws -> TeacherWeights {
    let weights = try communicator.agree { try TeacherWeights(source: teacher, for: Architecture(model)) }
    try communicator.compareAcrossRanks(weights.hash, what: "the teacher's weights")
    return weights
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
