import Checkpoints
import Collectives
import Distillation
import FileSystem
import Foundation
import Imagery
import Jobs
import Network
import Numerics
import TensorFiles

extension Trainer {
  /// Everything that must be right before the first step: the same images, teacher and program on all ranks, a valid checkpoint to go on
  /// from where one is wanted, all images readable. Collective.
  /// - Parameter stop: asked after every step, and while images are read and scored.
  /// - Throws: on all ranks the same `Failure` that says what is wrong, or that the run is to stop.
  public convenience init(
    _ configuration: TrainingConfiguration, over communicator: any Communicator, console: Console,
    stop: StopRequests = StopRequests()
  ) throws {
    try self.init(RunStart(configuration, over: communicator, console: console), stop: stop)
  }

  /// Builds what the run needs where it begins. Collective.
  /// - Parameter known: what this rank may use; without it, what the ranks that train together find.
  convenience init(_ start: RunStart, placement known: Placement? = nil, stop: StopRequests) throws {
    let (configuration, inputs, communicator) = (start.configuration, start.inputs, start.communicator)
    let (order, losses, stepCount) = (inputs.order, start.losses, start.stepCount)
    let console = start.console
    if !losses.isEmpty {
      console.say("going on from \(start.run.checkpoints)/\(CheckpointStore.name(ofStep: losses.count))")
    }

    let placement = try known ?? Placement(communicator)
    let team = ThreadTeam(count: configuration.threads ?? placement.threads)
    var isBuilt = false
    // Its threads would never end.
    defer { if !isBuilt { team.finish() } }
    let shards = inputs.tree.shards(of: communicator.rank)
    if known == nil {
      try PlacementTable(
        placement, threads: team.count, areGiven: configuration.threads != nil, shards: shards, over: communicator
      ).show(on: console)
    }
    let rank = try communicator.agree {
      try TrainingRank(configuration, inputs, over: communicator, team: team)
    }
    let (student, adam, parameters) = (rank.student, rank.adam, rank.student.step.parameters)
    try compareArithmetic(rank.engine, over: communicator)
    if !losses.isEmpty {
      try communicator.agree { if let checkpoint = start.checkpoint { try student.read(checkpoint[.parameters]) } }
      for arena in [parameters.weights, parameters.affine, parameters.statistics] {
        try communicator.broadcast(arena.values, count: arena.count)
      }
      try adam.restore(first: start.checkpoint?[.firstMoments], second: start.checkpoint?[.secondMoments])
    } else {
      try student.initialize(seed: configuration.seed)
    }
    // They come from the C library's logarithm and cosine, which need not round alike on all hosts.
    try communicator.compareAcrossRanks(parameters.fingerprint, what: "the weights to start from")

    let source = FeatureSource(rank.extractor, manifest: inputs.manifest)
    let work = losses.count < stepCount ? "steps \(losses.count + 1) to \(stepCount)" : "\(losses.count) steps done"
    console.say(
      inputs.imagesText
        + (inputs.heldOut.images.isEmpty ? "" : " and \(inputs.heldOut.images.count) held out")
        + ", \(communicator.size) ranks with \(team.count) threads, "
        + "\(configuration.logicalShards) shards, \(work)")
    if losses.count < stepCount {
      // In the order of the files, so that one is read for many of its tiles.
      let own = shards.flatMap { order.order(ofShard: $0, epoch: 0) }.sorted()
      let input = configuration.tiles > 1 ? "tile" : "image"
      let memory = placement.memoryForCache(beside: rank.bytes)
      try communicator.agree {
        try source.prepare(own, bytes: configuration.featureCache.bytes(automatic: memory)) {
          console.progress($0, of: own.count, "teacher's features: \(input) \($0)/\(own.count)")
          try stop.check(reserve: .seconds(5))
        }
        try inputs.testImages?.requireReadable(on: team) {
          console.progress($0, of: $1, "test image \($0)/\($1)")
          try stop.check(reserve: .seconds(5))
        }
        let heldOut = inputs.heldOut.images
        for image in evenRange(communicator.rank, of: communicator.size, count: heldOut.count) {
          try rank.extractor.read([heldOut[image].path])
          try stop.check(reserve: .seconds(5))
        }
      }
    }
    source.isCompleteOnAllRanks = try communicator.allGather([source.isComplete ? 1 : 0]).allSatisfy { $0 == [1] }

    self.init(start, rank: rank, shards: shards, source: source, stop: stop)
    isBuilt = true
  }
}
