import Checkpoints
import Collectives
import Diagnostics
import Distillation
import FileSystem
import Imagery
import Jobs
import Metrics
import Network
import Numerics
import Reports
import Scoring
import TensorFiles
import Training

/// A checkpoint's networks, ready to score images, and what is known of its training.
package final class TrainedDetector {
  package let checkpoint: CheckpointFile
  /// Where the checkpoint is.
  let path: String
  let configuration: TrainingConfiguration
  package let extractor: FeatureExtractor
  package let detector: Detector
  let team: ThreadTeam

  /// The name of the checkpoint's file.
  var name: String { String(path.split(separator: "/").last ?? "") }
  var record: CheckpointRecord { checkpoint.record }
  /// Height and width of maps.
  package var side: Int { detector.side }
  var fit: ImageFit { configuration.fit }

  /// Collective.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  package init(_ options: DetectorOptions, over communicator: any Communicator, console: Console) throws {
    try communicator.comparePrograms()
    try communicator.compareAcrossRanks("\(options.scales), \(options.score)", what: "scales and score")
    let (checkpoint, path) = try communicator.agree {
      try openCheckpoint(options.checkpoint, withTeacher: options.teacher == nil, console: console)
    }
    let record = checkpoint.record
    try communicator.compareAcrossRanks(
      "\(path), \(record.step) steps, last loss \(record.lossHistory.last ?? .nan)",
      what: "the checkpoint",
      hint: "is a training still writing? Name the checkpoint instead of the folder")
    let configuration = try communicator.agree {
      try TrainingConfiguration(checkpointText: record.configuration, file: path)
    }
    let architecture = Architecture(configuration.model)
    // Collective, whatever this rank was told.
    let placement = try Placement(communicator)
    let team = ThreadTeam(count: options.threads ?? placement.threads)
    do {
      let engine = try communicator.agree { try options.engine.start(on: team, precision: options.precision) }
      try compareArithmetic(engine, over: communicator)
      (extractor, detector) = try communicator.agree {
        let weights = try teacherWeights(of: checkpoint, named: path, given: options.teacher, for: architecture)
        let teacher = try Teacher(
          architecture, weights: weights, engine: engine, capacity: FeatureExtractor.inputsAtATime(on: team))
        return (
          FeatureExtractor(teacher, fit: configuration.fit, grid: configuration.grid, team: team),
          try Detector(
            architecture, student: checkpoint[.parameters], engine: engine, capacity: teacher.capacity,
            grid: configuration.grid, scales: options.scales, score: options.score, activations: teacher.activations)
        )
      }
    } catch {
      team.finish()
      throw error
    }
    self.checkpoint = checkpoint
    self.path = path
    self.configuration = configuration
    self.team = team
  }

  /// The team's threads would not end by themselves.
  deinit { team.finish() }
}

extension TrainedDetector {
  /// How the training went up to the checkpoint, by its losses and by the run's log where that is there.
  /// - Throws: `Failure(.inputOutput)`.
  func trainingCurves() throws -> TrainingCurves {
    let events = try RunFolder(ofCheckpoint: path)?.evaluations(upTo: record.step) ?? []
    func points(_ value: (EvaluationEvent) -> Double?) -> [CurvePoint] {
      events.compactMap { event in value(event).map { CurvePoint(x: Double(event.step), y: $0) } }
    }
    return TrainingCurves(
      losses: record.lossHistory, heldOutLoss: points(\.validationLoss),
      measures: [
        .init(name: "Image AUROC", points: points(\.imageAUROC)),
        .init(name: "Pixel AUROC", points: points(\.pixelAUROC)),
        .init(name: "AUPRO", points: points(\.aupro)),
      ])
  }
}

/// A checkpoint by its path, or the newest in a run's folder of which all that is needed is valid.
func openCheckpoint(
  _ path: String, withTeacher: Bool, console: Console
) throws -> (CheckpointFile, String) {
  guard isFolder(path) else { return (try CheckpointFile(path: path), path) }
  let own = RunFolder(path).checkpoints
  let folder = isFolder(own) ? own : path
  let store = CheckpointStore(storage: FolderStorage(folder)) {
    console.warn("\($0.name): \($0.reason)")
  }
  guard let newest = try store.newestValid(withTeacher ? [.parameters, .teacher] : [.parameters]) else {
    throw Failure(
      .badData, "\(path): holds no checkpoint",
      hint: "give the folder that rd-train wrote to (--output), or a checkpoint")
  }
  return (newest.checkpoint, "\(folder)/\(newest.name)")
}

/// The teacher that a checkpoint was trained with: its own copy, or the file that is given.
func teacherWeights(
  of checkpoint: CheckpointFile, named name: String, given: String?, for architecture: Architecture
) throws -> TeacherWeights {
  let weights: TeacherWeights
  if let given {
    weights = try TeacherWeights(source: given, for: architecture)
  } else if !checkpoint[.teacher].names.isEmpty {
    let own = try checkpoint[.teacher].tensors.map { try $0.loaded() }
    weights = try TeacherWeights(TensorTable(own, source: name), for: architecture)
  } else {
    throw Failure(.usage, "\(name): the checkpoint holds no teacher", hint: "give the teacher's file as --teacher")
  }
  guard weights.hash == checkpoint.record.teacherHash else {
    throw Failure(
      .badData, "\(given ?? name): not the teacher that the student was trained with",
      hint: "leave --teacher out, or give the file of the training")
  }
  return weights
}
