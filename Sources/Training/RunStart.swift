import Checkpoints
import Collectives
import Diagnostics
import Distillation
import FileSystem
import Imagery
import Jobs

/// Where a run begins: its inputs, found to be right, its folder, made ready, and the steps done before. Nothing large has been built yet.
struct RunStart {
  let configuration: TrainingConfiguration
  let communicator: TimedCommunicator
  let console: Console
  let inputs: TrainingInputs
  let run: RunFolder
  /// Keeps other trainers out of the folder. Rank 0 has it.
  let lock: FileLock?
  let store: CheckpointStore
  /// What the run goes on from. Rank 0 alone has it, since the folder need not be everybody's.
  let checkpoint: CheckpointFile?
  /// One for each step done, and none where the run begins.
  let losses: [Double]
  /// The evaluations in these steps.
  let history: EvaluationHistory
  var stepCount: Int { inputs.stepCount }
  /// Whether there is a checkpoint of the last step, with the statistics of the normal images.
  let isComplete: Bool

  /// Collective.
  /// - Parameter teacher: the teacher, where it has been read already.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  init(
    _ configuration: TrainingConfiguration, over base: any Communicator, console: Console,
    teacher: TeacherWeights? = nil
  ) throws {
    let communicator = TimedCommunicator(base)
    try communicator.watch(stallTimeout: configuration.stallTimeout.duration)
    let inputs = try TrainingInputs(
      configuration, ranks: communicator.size, over: communicator, teacher: teacher, console: console)
    try communicator.compareContents(
      of: (inputs.manifest.images + inputs.heldOut.images).map { ($0.relativePath, $0.path) },
      hosts: communicator.hostNames())
    if TeacherWeights.randomSeed(of: configuration.teacher) != nil {
      console.warn(
        "the teacher \(configuration.teacher) is UNTRAINED: good for benchmarks and tests, useless for detection"
      )
    }

    for image in inputs.manifest.unreadable { console.warn("left out: \(image.reason)") }

    let run = RunFolder(configuration.output)
    let store = CheckpointStore(storage: FolderStorage(run.checkpoints), keep: configuration.keepCheckpoints) {
      console.warn("\($0.name): \($0.reason)")
    }
    // At once, since much is done before the folder is needed.
    lock = try communicator.agree { communicator.rank == 0 ? try run.lock(console) : nil }
    let start: CheckpointFile? = try communicator.agree {
      guard communicator.rank == 0 else { return nil }
      let start = try startingPoint(configuration.resume, run: run, store: store)
      if let start { try check(start.record, configuration: configuration, inputs) }
      if let place = try prepare(run, store: store, start: start, resume: configuration.resume) {
        console.say("the checkpoints of an earlier run are now in \(place)")
      }
      try writeFile(run.configuration, bytes: Array(configuration.resolved.toml.utf8))
      if configuration.skipUnreadable { try writeFile(run.skipped, bytes: inputs.manifest.unreadable.lines()) }
      return start
    }
    let losses = try communicator.allGather(values: start?.record.lossHistory ?? [])
    let evaluations = try communicator.agree {
      communicator.rank == 0 ? try run.evaluations(upTo: losses.count) : []
    }
    let history = EvaluationHistory(configuration, try communicator.allGather(coded: evaluations))
    try communicator.agree {
      guard communicator.rank == 0 else { return }
      if configuration.evaluateEvery != nil {
        try run.removeBests(after: losses.count) {
          $0.record.step <= inputs.stepCount && (try? check($0.record, configuration: configuration, inputs)) != nil
        }
      }
      if let place = try run.setBestAside(unlessOf: history.best?.step) {
        console.say("the best checkpoints of before are now in \(place)")
      }
    }
    let isScored = try communicator.allGather(values: [start?.record.normalStatistics != nil]).contains(true)

    self.configuration = configuration
    self.communicator = communicator
    self.console = console
    self.inputs = inputs
    self.run = run
    self.store = store
    checkpoint = start
    self.losses = losses
    self.history = history
    isComplete = (losses.count >= inputs.stepCount || history.isStale) && isScored
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
    let own = "\(run.checkpoints)/\(CheckpointStore.name(ofStep: step))"
    var place: String?
    if isFile(own) {
      // It may be damaged, or another run's.
      if try OpenFile(reading: own).sha256() == start.sha256() { return try run.setAside(after: step) }
      place = try run.setAside(after: step - 1)
    }
    try store.commit(copyOf: start)
    return try place ?? run.setAside(after: step)
  }
}

/// Whether a run as configured is the one that a checkpoint belongs to.
private func check(
  _ checkpoint: CheckpointRecord, configuration: TrainingConfiguration, _ inputs: TrainingInputs
) throws {
  let stored = try TrainingConfiguration(
    checkpointText: checkpoint.configuration, file: "the checkpoint's configuration")
  let conflicts = configuration.compatibility(with: stored).map(\.description)
  let hint = "to begin anew: --resume never, or another --output"
  guard conflicts.isEmpty else {
    throw Failure(
      .configuration, "the run cannot go on from its checkpoint: " + conflicts.joined(separator: "; "), hint: hint)
  }
  guard checkpoint.dataFingerprint == inputs.dataFingerprint else {
    throw Failure(
      .badData,
      "the run cannot go on from its checkpoint: the images in \(inputs.manifest.root) are not those that it began with "
        + "(by names and sizes)", hint: hint)
  }
  guard checkpoint.shardOrder == inputs.order.dealt.map(Int32.init) else {
    throw Failure(
      .badData, "the run cannot go on from its checkpoint: this program deals the images out in another order",
      hint: "go on with the version that began the run; or \(hint)")
  }
  guard checkpoint.lossHistory.count == checkpoint.step else {
    throw Failure(
      .badData, "the checkpoint of step \(checkpoint.step) has \(checkpoint.lossHistory.count) losses", hint: hint)
  }
  guard checkpoint.teacherHash == inputs.teacher.hash else {
    throw Failure(
      .badData,
      "the run cannot go on from its checkpoint: \(configuration.teacher) is not the teacher that it began with",
      hint: hint)
  }
}
