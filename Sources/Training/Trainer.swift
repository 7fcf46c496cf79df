import Checkpoints
import Collectives
import Diagnostics
import Distillation
import FileSystem
import Foundation
import Imagery
import Jobs
import Metrics
import Network
import Numerics

/// Trains a student on the normal images of a data set, together with the other ranks. All ranks make the same calls.
public final class Trainer {
  let configuration: TrainingConfiguration
  let communicator: TimedCommunicator
  let console: Console

  let inputs: TrainingInputs
  var architecture: Architecture { inputs.architecture }
  var order: EpochOrder { inputs.order }
  /// The shards that this rank runs.
  let shards: Range<Int>
  let source: FeatureSource
  let rank: TrainingRank
  var engine: any ConvolutionEngine { rank.engine }
  var student: Student { rank.student }
  var adam: Adam { rank.adam }
  let run: RunFolder
  /// Keeps other trainers out of the folder.
  private let lock: FileLock?
  let store: CheckpointStore
  let stop: StopRequests

  /// The losses of the steps done.
  var losses: [Double]
  /// Steps done.
  var step: Int { losses.count }
  var stepCount: Int { inputs.stepCount }
  /// Whether there is a checkpoint of the last step, with the statistics of the normal images.
  let isComplete: Bool
  /// The step of the last checkpoint; 0 where there is none.
  var stepOfCheckpoint: Int
  var reserve: StopReserve
  /// Rank 0 has it.
  var provenance: Provenance?
  /// Rank 0 has it, where one is wanted.
  var metrics: MetricsFile?
  /// Of the first steps, where one is wanted.
  private var trace: StepTrace?
  /// The evaluations on the way.
  var history: EvaluationHistory
  /// Of the present student, where they were taken.
  var statistics: (step: Int, NormalStatistics)?

  init(
    _ start: RunStart, rank: TrainingRank, shards: Range<Int>, source: FeatureSource, stop: StopRequests
  ) {
    configuration = start.configuration
    communicator = start.communicator
    console = start.console
    inputs = start.inputs
    run = start.run
    store = start.store
    losses = start.losses
    isComplete = start.isComplete
    history = start.history
    self.shards = shards
    self.source = source
    self.rank = rank
    lock = start.lock
    self.stop = stop
    stepOfCheckpoint = losses.count
    // Weights and both moments.
    reserve = StopReserve(checkpointBytes: 3 * rank.student.step.parameters.weights.count * MemoryLayout<Float>.stride)
  }

  /// Trains until the last step, writing log and checkpoints on the way. The last call.
  /// - Throws: `Failure`; where only some ranks can throw, it says so on those, and the job must be aborted.
  ///   `Failure(.stoppedResumable)` on all ranks where the run was asked to stop; then there is a checkpoint of its last step.
  public func train() throws {
    defer { engine.team.finish() }
    let hosts = try communicator.hostNames()
    provenance = try communicator.agree {
      communicator.rank == 0
        ? try Provenance(
          run.provenance, afterStep: step, hosts: hosts, threads: engine.team.count, engine: engine.name) : nil
    }
    if configuration.evaluateEvery != nil, configuration.bestBy != .validationLoss {
      console.warn(
        "the best checkpoint is chosen by the \(configuration.bestBy.rawValue) of the TEST images: what it "
          + "reaches on them is too good")
    }
    let log = try communicator.agree {
      communicator.rank == 0
        ? try EventLog(run, after: step) { [console] in console.warn("\($0)") } : nil
    }
    metrics = try communicator.agree { communicator.rank == 0 ? try metricsFile() : nil }
    trace = try configuration.trace.map { try StepTrace($0, over: communicator) }
    do {
      try trainToTheEnd(log)
    } catch let asked as Failure where asked.code == .stoppedResumable {
      try finishTrace()
      if step > stepOfCheckpoint { try writeCheckpoint(nil) }
      try communicator.agree { try log?.finish() }
      throw asked
    }
    try communicator.agree { try log?.finish() }
  }

  private func metricsFile() throws -> MetricsFile? {
    guard let path = configuration.metricsFile else { return nil }
    let newest = "\(run.checkpoints)/\(CheckpointStore.name(ofStep: step))"
    let attributes = try? FileManager.default.attributesOfItem(atPath: newest)
    return try MetricsFile(
      path, run: run.path, step: step, of: stepCount, lastCheckpoint: attributes?[.modificationDate] as? Date
    ) { [console] in console.warn("\($0)") }
  }

  /// Writes the trace; where that fails, the run goes on without. Collective.
  private func finishTrace() throws {
    defer { trace = nil }
    do {
      try trace?.finish()
    } catch let failure as Failure where failure.isOnAllRanks && failure.code == .inputOutput {
      console.warn("no trace: \(failure)")
    }
  }

  private func trainToTheEnd(_ log: EventLog?) throws {
    let features = rank.features
    var shuffled = ShuffledShards(order, shards: shards)

    var isEarly = try evaluateIfDue(log)
    while step < stepCount, !isEarly {
      communicator.enter(step: step + 1)
      var clock = WorkClock(communicator)
      trace?.beginStep()
      let images = shuffled.images(ofStep: step)
      try load(images.flatMap { $0 }, into: features)
      let input = clock.lap()
      trace?.end("input")

      student.step.begin(imagesPerShard: images.map(\.count), batch: order.batch(ofStep: step))
      do {
        let loss = try student.lossAndGradients(features.features) { trace?.end("forward") }
        trace?.end("backward")
        try adam.update(step: step + 1) { trace?.end("reduction") }
        trace?.end("optimizer")
        losses.append(loss)
      } catch let found as NonFiniteNumbers {
        throw try failure(found, images: images.flatMap { $0 })
      }
      let compute = clock.lap()
      let event = StepEvent(
        step: step, epoch: (step - 1) / order.stepsPerEpoch + 1, loss: losses[step - 1],
        imagesPerSecond: Double(student.step.batch) / clock.elapsed.seconds, computeSeconds: compute.seconds,
        communicationSeconds: clock.communication.seconds, inputSeconds: input.seconds)
      console.progress(step, of: stepCount, describe(event))
      metrics?.update(event, isLast: step == stepCount)
      reserve.note(step: clock.elapsed)
      try communicator.agree {
        try log?.append(event)
        try stopIfAsked()
      }
      trace?.end("log")
      trace?.end(step: step)
      if trace?.isFull == true { try finishTrace() }
      if step < stepCount, isDue(configuration.checkpointEvery) {
        let statistics =
          configuration.statistics == .checkpoint
          ? try goOn(without: "statistics", statisticsOfPresentStudent) : nil
        try goOn(without: "checkpoint") { try writeCheckpoint(statistics) }
      }
      isEarly = try evaluateIfDue(log)
    }
    try finishTrace()
    if !isComplete { try writeLastCheckpoint() }
  }

  /// Says in which images of which ranks there are numbers that are not finite. Collective.
  private func failure(_ found: NonFiniteNumbers, images: [Int]) throws -> Failure {
    let odd = found.images.map { $0.map { images[$0] } } ?? images
    let paths = odd.map { inputs.manifest.images[$0 / configuration.grid.count].relativePath }.distinct
    let text =
      paths.isEmpty
      ? "" : "\n  rank \(communicator.rankInJob) (\(LaunchEnvironment.hostName)): " + abridged(paths)
    let texts = try communicator.allGather(text: text)
    return .notFinite(
      "step \(step + 1), \(found.place): numbers that are not finite, with these images:" + texts.joined(),
      hint:
        "no weight was changed, and the last checkpoint is intact; try a lower --learning-rate, or look at the images",
      isOnAllRanks: true)
  }

  /// - Throws: `Failure(.stoppedResumable)` where this rank is to stop.
  func stopIfAsked() throws { try stop.check(reserve: reserve.duration) }

  /// Gets the teacher's features of this rank's images.
  private func load(_ images: [Int], into features: FeatureBuffer) throws {
    if source.isCompleteOnAllRanks {
      try source.features(images, into: features)
    } else {
      try communicator.agree { try source.features(images, into: features) { trace?.end($0) } }
    }
  }

  func isDue(_ interval: TrainingConfiguration.Interval) -> Bool {
    switch interval {
    case .steps(let count): step % count == 0
    case .epochs(let count): step % (count * order.stepsPerEpoch) == 0
    }
  }

  /// Does what a run can do without: where files fail, or scores are not finite, it goes on. Nothing is lost, and the next time it may
  /// succeed.
  /// - Returns: nil where it fails.
  @discardableResult
  func goOn<Value>(without what: String, _ work: () throws -> Value) throws -> Value? {
    do {
      return try work()
    } catch let failure as Failure where failure.isSurvivable {
      console.warn(
        "no \(what) of step \(step): \(failure)\n  training goes on and tries again when the next one is due")
      return nil
    }
  }

  private func describe(_ event: StepEvent) -> String {
    let rest = Double(stepCount - event.step) * Double(student.step.batch) / max(event.imagesPerSecond, 1e-9)
    return "step \(event.step)/\(stepCount) epoch \(event.epoch) loss \(decimal(event.loss, digits: 4)) "
      + "\(decimal(event.imagesPerSecond, digits: 1)) images/s, \(spoken(rest)) left"
  }
}

extension Failure {
  /// Whether training can go on where something failed so that it can do without: on all ranks, and not by a defect of the program.
  var isSurvivable: Bool { isOnAllRanks && ([.inputOutput, .badData].contains(code) || isNotFinite) }
}

/// The first of some names, for a message.
func abridged(_ names: [String]) -> String {
  let most = 20
  return names.prefix(most).joined(separator: ", ") + (names.count > most ? ", and \(names.count - most) more" : "")
}
