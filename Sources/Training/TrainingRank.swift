import Collectives
import Distillation
import Network
import Numerics
import Scoring

/// What a rank trains with, all of its large memory but the kept features. Training and planning build the same.
struct TrainingRank {
  /// The bytes of a rank's buffers, by what they are for.
  struct Memory {
    let engine = MemoryAccount()
    let student = MemoryAccount()
    let moments = MemoryAccount()
    let teacher = MemoryAccount()
    let features = MemoryAccount()

    var bytes: Int { [engine, student, moments, teacher, features].reduce(0) { $0 + $1.bytes } }
  }

  let memory = Memory()
  let engine: any ConvolutionEngine
  let student: Student
  let adam: Adam
  let extractor: FeatureExtractor
  /// The teacher's features of the step's images.
  let features: FeatureBuffer
  /// Of all of this, and of the pictures that are read at a time.
  var bytes: Int { memory.bytes + extractor.pictureBytes }

  /// - Parameter communicator: its rank is the one that this is for.
  init(
    _ configuration: TrainingConfiguration, _ inputs: TrainingInputs, over communicator: any Communicator,
    team: ThreadTeam
  ) throws {
    let (architecture, tree, images) = (inputs.architecture, inputs.tree, inputs.order.images)
    let engine = try memory.engine.counting {
      try configuration.engine.start(on: team, precision: configuration.precision)
    }
    self.engine = engine
    let perShard = (configuration.batchSize + configuration.logicalShards - 1) / configuration.logicalShards
    let capacity = min(tree.shards(of: communicator.rank).count * perShard, configuration.batchSize, images)
    let step = memory.student.counting {
      TrainingStep(engine: engine, tree: tree, communicator: communicator, capacity: capacity)
    }
    student = memory.student.counting { Student(architecture, step: step) }
    adam = memory.moments.counting {
      Adam(
        step.parameters, learningRate: configuration.learningRate, beta1: configuration.adamBeta1,
        beta2: configuration.adamBeta2, tree: tree, communicator: communicator, team: team)
    }
    extractor = try memory.teacher.counting {
      FeatureExtractor(
        try Teacher(
          architecture, weights: inputs.teacher, engine: engine,
          capacity: min(FeatureExtractor.inputsAtATime(on: team), images)),
        fit: configuration.fit, grid: configuration.grid, team: team)
    }
    features = memory.features.counting { FeatureBuffer(architecture, images: capacity) }
  }

  /// What scores images with the present student.
  func detector() throws -> Detector {
    try Detector(
      extractor.architecture, student: student.tensors, engine: engine,
      capacity: FeatureExtractor.inputsAtATime(on: extractor.team),
      grid: extractor.grid)
  }
}
