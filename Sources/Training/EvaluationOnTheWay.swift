import Checkpoints
import Diagnostics
import Distillation
import FileSystem
import Jobs
import Metrics
import Scoring

extension Trainer {
  /// Evaluates the present student where it is time to: held-out normal images by their loss, test images by the measures of rd-eval. What is
  /// better than all before is kept in a folder of its own. Collective; changes nothing that is trained.
  /// - Returns: whether training shall end, since it no longer gets better.
  /// - Throws: `Failure(.stoppedResumable)` where the run is to stop.
  func evaluateIfDue(_ log: EventLog?) throws -> Bool {
    guard let interval = configuration.evaluateEvery, step > 0, isDue(interval), history.lastStep < step else {
      return history.isStale
    }
    try goOn(without: "evaluation") { try evaluate(log) }
    if history.isStale, let best = history.best {
      console.say(
        "training ends early: \(configuration.bestBy.rawValue) is not better than after step \(best.step)")
    }
    return history.isStale
  }

  private func evaluate(_ log: EventLog?) throws {
    let began = ContinuousClock.now
    let loss = inputs.heldOut.images.isEmpty ? nil : try measure().loss
    let metrics = try inputs.testImages.map(measures)
    let event = EvaluationEvent(
      step: step, epoch: (step - 1) / order.stepsPerEpoch + 1, validationLoss: loss, imageAUROC: metrics?.imageAUROC,
      pixelAUROC: metrics?.pixelAUROC, aupro: metrics?.aupro, evaluationSeconds: (ContinuousClock.now - began).seconds)
    history.add(event)
    console.say(describe(event))
    if history.best == event { try goOn(without: "best checkpoint", keepBest) }
    // At last: what stops before this is evaluated again when the run goes on.
    try communicator.agree { try log?.append(event) }
  }

  private func measures(of images: TestImages) throws -> DetectionMetrics {
    let detector = try communicator.agree {
      // Its scratch file is each rank's own.
      try makeFolder(run.path)
      return try Detector(
        architecture, student: student.tensors, engine: engine, capacity: FeatureExtractor.inputsAtATime,
        tilesPerSide: configuration.tiles)
    }
    return try TestScoring(images, rank.extractor, detector, over: communicator, console: console)
      .score(scratchIn: run.path) { _, _ in try stopIfAsked() }.evaluation.overall
  }

  private func keepBest() throws {
    let best = CheckpointStore(storage: FolderStorage(run.best)) { [console] in
      console.warn("\($0.name): \($0.reason)")
    }
    try communicator.agree {
      guard communicator.rank == 0, !isFolder(run.best) else { return }
      try makeFolder(run.best)
      try syncFolder(run.path)
    }
    try write(to: best, in: run.best, try statisticsOfPresentStudent(), called: "best checkpoint")
  }

  private func describe(_ event: EvaluationEvent) -> String {
    let measures = [
      ("validation loss", event.validationLoss), ("image AUROC", event.imageAUROC), ("pixel AUROC", event.pixelAUROC),
      ("AUPRO", event.aupro),
    ].compactMap { name, value in value.map { "\(name) \(decimal($0, digits: 4))" } }
    return "step \(event.step) epoch \(event.epoch): " + measures.joined(separator: ", ")
  }
}
