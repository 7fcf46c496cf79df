import Checkpoints
import Collectives
import Diagnostics
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
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  public convenience init(
    _ configuration: TrainingConfiguration, over base: any Communicator, console: Console
  ) throws {
    let communicator = TimedCommunicator(base)
    try communicator.watch(stallTimeout: configuration.stallTimeout.duration)
    let inputs = try TrainingInputs(configuration, ranks: communicator.size, over: communicator)
    let (architecture, manifest, order, teacher) = (inputs.architecture, inputs.manifest, inputs.order, inputs.teacher)
    try communicator.compareContents(
      of: manifest.images.map { ($0.relativePath, $0.path) }, hosts: communicator.hostNames())
    if TeacherWeights.randomSeed(of: configuration.teacher) != nil {
      console.say(
        "warning: the teacher \(configuration.teacher) is UNTRAINED: good for benchmarks and tests, useless for detection"
      )
    }

    let run = RunFolder(configuration.output)
    let store = CheckpointStore(storage: FolderStorage(run.checkpoints), keep: configuration.keepCheckpoints) {
      console.say("warning: \($0.name): \($0.reason)")
    }
    // At once, since much is done before the folder is needed.
    try communicator.agree { if communicator.rank == 0 { try makeFolder(run.path) } }
    // Rank 0 alone has it, since the folder need not be everybody's.
    let start: CheckpointFile? = try communicator.agree {
      guard communicator.rank == 0 else { return nil }
      let start = try startingPoint(configuration.resume, run: run, store: store)
      if let start {
        try check(start.record, configuration: configuration, manifest: manifest, order: order, teacher: teacher)
      }
      if let place = try prepare(run, store: store, start: start, resume: configuration.resume) {
        console.say("the checkpoints of an earlier run are now in \(place)")
      }
      if let start {
        console.say("going on from \(run.checkpoints)/\(CheckpointStore.name(ofStep: start.record.step))")
      }
      try writeFile(run.configuration, bytes: Array(configuration.resolved.toml.utf8))
      return start
    }
    // One for each step done, and none where the run begins.
    let losses = try communicator.allGather(values: start?.record.lossHistory ?? [])
    let isScored = try communicator.allGather(values: [start?.record.normalStatistics != nil]).contains(true)

    let placement = try Placement(communicator)
    let team = ThreadTeam(count: configuration.threads ?? placement.threads)
    let shards = inputs.tree.shards(of: communicator.rank)
    let table = try PlacementTable(
      placement, threads: team.count, areGiven: configuration.threads != nil, shards: shards, over: communicator)
    for line in table.lines { console.say(line) }
    for warning in table.warnings { console.say("warning: \(warning)") }
    let rank = try communicator.agree {
      try TrainingRank(configuration, inputs, over: communicator, team: team)
    }
    let (student, adam, parameters) = (rank.student, rank.adam, rank.student.step.parameters)
    try compareArithmetic(rank.engine, over: communicator)
    if !losses.isEmpty {
      try communicator.agree { if let start { try student.read(start[.parameters]) } }
      for arena in [parameters.weights, parameters.affine, parameters.statistics] {
        try communicator.broadcast(arena.values, count: arena.count)
      }
      try adam.restore(first: start?[.firstMoments], second: start?[.secondMoments])
    } else {
      try student.initialize(seed: configuration.seed)
    }
    // They come from the C library's logarithm and cosine, which need not round alike on all hosts.
    try communicator.compareAcrossRanks(parameters.fingerprint, what: "the weights to start from")

    let source = FeatureSource(rank.extractor, manifest: manifest)
    let stepCount = min(configuration.epochs * order.stepsPerEpoch, configuration.maxSteps ?? .max)
    let work = losses.count < stepCount ? "steps \(losses.count + 1) to \(stepCount)" : "\(losses.count) steps done"
    console.say(
      "\(manifest.images.count) images, \(communicator.size) ranks with \(team.count) threads, "
        + "\(configuration.logicalShards) shards, \(work)")
    if losses.count < stepCount {
      let own = shards.flatMap { order.order(ofShard: $0, epoch: 0) }
      let memory = placement.memoryForCache(beside: rank.memory.bytes)
      try communicator.agree {
        try source.prepare(own, bytes: configuration.featureCache.bytes(automatic: memory)) {
          console.progress($0, of: own.count, "teacher's features: image \($0)/\(own.count)")
        }
      }
    }
    source.isCompleteOnAllRanks = try communicator.allGather([source.isComplete ? 1 : 0]).allSatisfy { $0 == [1] }

    self.init(
      configuration: configuration, communicator: communicator, console: console, rank: rank,
      architecture: architecture, manifest: manifest, order: order, shards: shards, source: source, teacher: teacher,
      run: run, store: store, losses: losses, stepCount: stepCount,
      isComplete: losses.count >= stepCount && isScored)
  }
}

/// The checkpoint to go on from, all of which is checked; nil where the run begins anew. Changes nothing on disk.
private func startingPoint(
  _ resume: TrainingConfiguration.Resume, run: RunFolder, store: CheckpointStore
) throws -> CheckpointFile? {
  switch resume {
  case .never:
    return nil
  case .automatic:
    return isFolder(run.checkpoints) ? try store.newestValid()?.checkpoint : nil
  case .file(let path):
    let checkpoint = try CheckpointFile(path: path)
    try checkpoint.verify()
    return checkpoint
  }
}

/// Makes the run's folder ready to go on from `start`. At every moment the newest checkpoint in it is a valid one.
/// - Returns: where the checkpoints of an earlier run went, if there were any in the way.
private func prepare(
  _ run: RunFolder, store: CheckpointStore, start: CheckpointFile?, resume: TrainingConfiguration.Resume
) throws -> String? {
  switch resume {
  case .never:
    let place = try run.setAside()
    try run.make()
    return place
  case .automatic:
    try run.make()
    return nil
  case .file:
    try run.make()
    guard let start else { return nil }
    let step = start.record.step
    if !isFile("\(run.checkpoints)/\(CheckpointStore.name(ofStep: step))") { try store.commit(copyOf: start) }
    return try run.setAside(after: step)
  }
}

/// Whether a run as configured is the one that a checkpoint belongs to.
private func check(
  _ checkpoint: CheckpointRecord, configuration: TrainingConfiguration, manifest: ImageManifest, order: EpochOrder,
  teacher: TeacherWeights
) throws {
  let stored = try configuration.restored(from: checkpoint.configuration, file: "the checkpoint's configuration")
  let conflicts = configuration.compatibility(with: stored).map(\.description)
  let hint = "to begin anew: --resume never, or another --output"
  guard conflicts.isEmpty else {
    throw Failure(
      .configuration, "the run cannot go on from its checkpoint: " + conflicts.joined(separator: "; "), hint: hint)
  }
  guard checkpoint.dataFingerprint == manifest.fingerprint else {
    throw Failure(
      .badData,
      "the run cannot go on from its checkpoint: the images in \(manifest.root) are not those that it began with "
        + "(by names and sizes)", hint: hint)
  }
  guard checkpoint.shardOrder == order.dealt.map(Int32.init) else {
    throw Failure(
      .badData, "the run cannot go on from its checkpoint: this program deals the images out in another order",
      hint: "go on with the version that began the run; or \(hint)")
  }
  guard checkpoint.lossHistory.count == checkpoint.step else {
    throw Failure(
      .badData, "the checkpoint of step \(checkpoint.step) has \(checkpoint.lossHistory.count) losses", hint: hint)
  }
  guard checkpoint.teacherHash == teacher.hash else {
    throw Failure(
      .badData,
      "the run cannot go on from its checkpoint: \(configuration.teacher) is not the teacher that it began with",
      hint: hint)
  }
}

extension TrainingConfiguration.Engine {
  /// - Throws: `Failure(.configuration)` for a precision that the engine has not.
  public func start(on team: ThreadTeam, precision: Precision) throws -> any ConvolutionEngine {
    switch (self, precision) {
    case (.vector, _): return VectorEngine(team: team, precision: precision)
    case (.openBLAS, .fp32): return MatrixProductEngine(team: team)
    case (.openBLAS, .bf16):
      throw Failure(.configuration, "the engine openblas computes in fp32 only", hint: "for bf16 use the engine vector")
    }
  }
}
