import Collectives
import Diagnostics
import Distillation
import Jobs
import Network
import Numerics
import Scoring
import Training

/// rd-train's step on random images, without its files.
final class StepBenchmark {
  private let architecture: Architecture
  private let batch: Int
  private let keepsFeatures: Bool
  private let imagesPerShard: [Int]
  private let communicator: TimedCommunicator
  private let team: ThreadTeam
  private let student: Student
  private let adam: Adam
  private let teacher: Teacher
  private let pixels: FloatBuffer
  private let features: FeatureBuffer
  /// The features of each of this rank's images, where they are kept.
  private var cache: [FloatBuffer] = []
  private var stepCount = 0

  private var images: Int { imagesPerShard.reduce(0, +) }

  init(
    _ model: ModelOptions, _ training: TrainingOptions, keepsFeatures: Bool, team: ThreadTeam,
    communicator: any Communicator
  ) throws {
    architecture = model.architecture
    batch = training.batch
    self.keepsFeatures = keepsFeatures
    self.team = team
    self.communicator = TimedCommunicator(communicator)
    let tree = try ShardTree(shards: training.shards, ranks: communicator.size)
    imagesPerShard = tree.shards(of: communicator.rank).map {
      evenRange($0, of: training.shards, count: training.batch).count
    }
    let capacity = imagesPerShard.reduce(0, +)
    let engine = try model.startEngine(on: team)
    let step = TrainingStep(engine: engine, tree: tree, communicator: self.communicator, capacity: capacity)
    student = Student(architecture, step: step)
    adam = Adam(
      step.parameters, learningRate: 0.005, beta1: 0.5, beta2: 0.999, tree: tree, communicator: self.communicator,
      team: team)
    try student.initialize(seed: 1)
    teacher = try Teacher(
      architecture, weights: TeacherWeights(randomWithSeed: 1, for: architecture), engine: engine,
      capacity: min(FeatureExtractor.inputsAtATime(on: team), max(capacity, 1)))
    pixels = randomBuffer(capacity * architecture.teacherStem.shape.inputCount)
    features = FeatureBuffer(architecture, images: capacity)
    guard keepsFeatures else { return }
    try teach()
    cache = (0..<capacity).map { image in
      let kept = FloatBuffer(FeatureBuffer.countPerImage(architecture))
      features.copy(image: image, to: kept.pointer)
      return kept
    }
  }

  /// Collective.
  func measure(_ timing: TimingOptions, into report: inout Report) throws {
    var clock = SplitClock(communicator)
    for step in 0..<timing.warmup + timing.steps {
      if step == timing.warmup { clock = SplitClock(communicator) }
      try communicator.barrier()
      try run(&clock)
    }
    let work: [SplitClock.Part: Double] = [
      .teacher: architecture.teacherWork, .forward: architecture.studentForwardWork,
      .backward: architecture.studentBackwardWork,
    ]
    let parts = SplitClock.Part.allCases.filter { clock.samples[$0] != nil }
    for part in parts {
      report.add(part.rawValue, clock.samples[part] ?? [], work: work[part].map { $0 * Double(batch) })
    }
    let total = parts.compactMap { work[$0] }.reduce(0, +)
    report.add("step", clock.totals, work: total * Double(batch))
    report.imagesPerSecond = report.rows.last.map { Double(batch) / $0.medianSeconds }
    report.parameters = architecture.studentUnits.reduce(0) { $0 + $1.parameterCount }
    report.peakMemoryBytes = try communicator.allGather(values: [ProcessMemory.peak]).max()
  }

  private func run(_ clock: inout SplitClock) throws {
    clock.start()
    if keepsFeatures {
      try team.run(images) { image, _ in features.copy(from: cache[image].pointer, toImage: image) }
      clock.end(.input)
    } else {
      try teach()
      clock.end(.teacher)
    }
    student.step.begin(imagesPerShard: imagesPerShard, batch: batch)
    _ = try student.lossAndGradients(features.features) { clock.end(.forward) }
    clock.end(.backward)
    stepCount += 1
    try adam.update(step: stepCount)
    clock.end(.adam)
    clock.stop()
  }

  private func teach() throws {
    let size = architecture.teacherStem.shape.inputCount
    for first in stride(from: 0, to: images, by: teacher.capacity) {
      try teacher.forward(
        pixels.pointer + first * size, images: min(teacher.capacity, images - first), into: features, first: first)
    }
  }
}

/// Splits the time of steps into their parts. What the communication takes, wherever it occurs, is a part of its own.
private struct SplitClock {
  enum Part: String, CaseIterable {
    case input, teacher
    case forward = "student forward"
    case backward = "student backward"
    case reduction
    case adam = "Adam"
  }

  private let communicator: TimedCommunicator
  private var clock: WorkClock
  private(set) var samples: [Part: [Double]] = [:]
  private(set) var totals: [Double] = []

  init(_ communicator: TimedCommunicator) {
    self.communicator = communicator
    clock = WorkClock(communicator)
  }

  mutating func start() { clock = WorkClock(communicator) }

  mutating func end(_ part: Part) { samples[part, default: []].append(clock.lap().seconds) }

  mutating func stop() {
    if communicator.size > 1 { samples[.reduction, default: []].append(clock.communication.seconds) }
    totals.append(clock.elapsed.seconds)
  }
}
