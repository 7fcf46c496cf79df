import Collectives
import Diagnostics
import Distillation
import Imagery
import Jobs
import Numerics
import Scoring
import TensorFiles

/// One rank of a planned job: what it trains with, built as in the run itself, and its steps, alone.
final class Rehearsal {
  private let configuration: TrainingConfiguration
  private let inputs: TrainingInputs
  private let counter: CountingCommunicator
  private let communicator: TimedCommunicator
  private let rank: TrainingRank
  private let team: ThreadTeam
  /// The images of each shard in the first step.
  private let imagesPerShard: [Int]
  private var images: Int { imagesPerShard.reduce(0, +) }

  /// - Parameter number: which rank of the planned job.
  init(_ configuration: TrainingConfiguration, _ inputs: TrainingInputs, rank number: Int, team: ThreadTeam) throws {
    self.configuration = configuration
    self.inputs = inputs
    self.team = team
    let ranks = inputs.tree.ranks
    counter = CountingCommunicator(EchoCommunicator(rank: number, of: ranks))
    communicator = TimedCommunicator(counter)
    rank = try TrainingRank(configuration, inputs, over: communicator, team: team)
    imagesPerShard = inputs.tree.shards(of: number).map { inputs.order.places(ofStep: 0, shard: $0).count }
  }

  /// The images whose features this rank keeps, if it can.
  private var ownImages: [Int] {
    inputs.tree.shards(of: communicator.rank).flatMap { inputs.order.order(ofShard: $0, epoch: 0) }
  }

  private var bytesPerImage: Int {
    FeatureBuffer.countPerImage(inputs.architecture) * MemoryLayout<Float>.stride
  }

  private func keptImages(_ placement: Placement) -> Int {
    let automatic = placement.memoryForCache(beside: rank.bytes)
    return FeatureSource.kept(
      of: ownImages.count, bytesPerImage: bytesPerImage, bytes: configuration.featureCache.bytes(automatic: automatic))
  }

  var engineName: String { rank.engine.name }

  // MARK: Memory

  /// - Parameter program: what the process took before anything was built.
  func memory(_ placement: Placement, program: Int) throws -> [TrainingPlan.Memory] {
    let parameters = rank.student.step.parameters
    let gradients = parameters.weightGradientBytes + parameters.affineGradients.bytes
    let weights =
      [parameters.weights, parameters.affine, parameters.statistics].reduce(0) { $0 + $1.count }
      * MemoryLayout<Float>.stride
    let scoring = try scoringMemory()
    let width = MemoryLayout<Float>.stride
    let largest = parameters.weights.entries.reduce(0) { max($0, $1.count) } * width
    let lasting: [TrainingPlan.Memory] = [
      .init("program", program),
      .init("weights", weights),
      .init("gradients", gradients),
      .init("Adam's moments", rank.memory.moments.bytes),
      .init("gradients of other ranks", rank.adam.exchangeBytes),
      .init("activations of the student", rank.memory.student.bytes - weights - gradients),
      .init("teacher", rank.memory.teacher.bytes),
      .init("teacher's file", inputs.teacher.table.tensors.reduce(0) { $0 + $1.values.count } * width),
      .init("work space of the engine", rank.memory.engine.bytes),
      .init("features of a step", rank.memory.features.bytes),
      .init("pictures", rank.extractor.pictureBytes),
      .init("features kept", keptImages(placement) * bytesPerImage),
    ]
    let evaluation = inputs.testImages.map {
      TrainingPlan.Memory("scoring the test images", scoring + pixelMemory($0), isTransient: true)
    }
    let transient: [TrainingPlan.Memory?] = [
      .init("scoring the normal images", scoring + normalScores, isTransient: true),
      // A tensor of the moments as it was gathered, in PyTorch's order, and as it is written.
      .init("writing a checkpoint", 3 * largest, isTransient: true), evaluation,
    ]
    return lasting + transient.compactMap { $0 }
  }

  /// What scoring any images takes for a time. The engine's work space grows to what it needs.
  private func scoringMemory() throws -> Int {
    let account = MemoryAccount()
    let buffers = try account.counting {
      (try rank.detector(), FeatureBuffer(inputs.architecture, images: FeatureExtractor.inputsAtATime(on: team)))
    }
    let pixels = configuration.grid.side * configuration.grid.side
    let maps = rank.extractor.picturesAtATime * pixels * MemoryLayout<Float>.stride
    return withExtendedLifetime(buffers) { account.bytes + maps }
  }

  /// Of ``Trainer/measureNormalImages()``: the values of all images come together, and those of the finest scale are sorted in double precision.
  private var normalScores: Int {
    let heldOut = inputs.heldOut.images.count
    let images = heldOut > 0 ? heldOut : inputs.manifest.images.count
    let sizes = (1...3).map { inputs.architecture.side(ofScale: $0) * inputs.architecture.side(ofScale: $0) }
    return images * (2 * (sizes.reduce(0, +) + sizes[0]) * MemoryLayout<Float>.stride + 4 * sizes[0] * 8)
  }

  /// Of ``TestScoring``: the pixels of a rank's share, as they are sorted, up to its limit.
  private func pixelMemory(_ images: TestImages) -> Int {
    let share = (images.entries.count + inputs.tree.ranks - 1) / inputs.tree.ranks
    return min(4 * share * images.side * images.side * MemoryLayout<Float>.stride, TestScoring.pixelMemory)
  }

  // MARK: Steps

  /// The images that sums over the batch are of, where the other ranks' nodes of the tree are this rank's, cut or repeated (``EchoCommunicator``).
  private var echoedBatch: Int {
    let first = inputs.tree.shards(of: communicator.rank).lowerBound
    let own = inputs.tree.nodes(of: communicator.rank).map { node in
      node.shards.reduce(0) { $0 + imagesPerShard[$1 - first] }
    }
    return (0..<inputs.tree.ranks).reduce(0) { sum, rank in
      sum + inputs.tree.nodes(of: rank).indices.reduce(0) { $0 + own[$1 % own.count] }
    }
  }

  /// Rehearses steps with random features.
  /// - Returns: what the last one exchanged, and what all but the first took, without communication.
  func steps(_ count: Int) throws -> (traffic: [TrainingPlan.Traffic], seconds: [TrainingPlan.StepSeconds]) {
    try rank.student.initialize(seed: configuration.seed)
    // Every image's features begin one number further on.
    let source = FloatBuffer(bytesPerImage / MemoryLayout<Float>.stride + images)
    fill(source)
    var traffic: [TrainingPlan.Traffic] = []
    var seconds: [TrainingPlan.StepSeconds] = []
    for step in 0...count {
      var clock = WorkClock(communicator)
      let start = counter.exchanges.count
      var forward = start
      try team.run(images) { image, _ in rank.features.copy(from: source.pointer + image, toImage: image) }
      let input = clock.lap().seconds
      rank.student.step.begin(imagesPerShard: imagesPerShard, batch: echoedBatch)
      _ = try rank.student.lossAndGradients(rank.features.features) { forward = counter.exchanges.count }
      let student = clock.lap().seconds
      let backward = counter.exchanges.count
      try rank.adam.update(step: step + 1)
      let adam = clock.lap().seconds

      let exchanges = counter.exchanges
      // The loss is the forward pass's last sum.
      let loss = max(forward - 1, start)
      traffic = [
        .init("statistics of batch norms", Array(exchanges[start..<loss] + exchanges[forward..<backward])),
        .init("losses", Array(exchanges[loss..<forward])),
        .init("gradients", exchanges[backward...].filter { $0.kind == .allToAll }),
        .init("weights", exchanges[backward...].filter { $0.kind == .allGather }),
      ]
      if step > 0 { seconds.append(.init(input: input, student: student, adam: adam)) }
    }
    return (traffic, seconds)
  }

  /// The seconds that an image takes from file to features, of some of this rank's images.
  /// - Parameter areShuffled: whether they come as in a step, and not in the order of the files.
  func secondsPerImage(areShuffled: Bool) throws -> Double {
    let images = Array((areShuffled ? ownImages : ownImages.sorted()).prefix(rank.extractor.capacity))
    let source = FeatureSource(rank.extractor, manifest: inputs.manifest)
    let target = FeatureBuffer(inputs.architecture, images: images.count)
    var best = Double.infinity
    for _ in 0..<2 {
      var clock = WorkClock(communicator)
      try source.features(images, into: target)
      best = min(best, clock.lap().seconds)
    }
    return images.isEmpty ? 0 : best / Double(images.count)
  }

  /// The share of this rank's images that go through the teacher in every epoch.
  func missingShare(_ placement: Placement) -> Double {
    ownImages.isEmpty ? 0 : 1 - Double(keptImages(placement)) / Double(ownImages.count)
  }
}

/// Numbers between -1 and 1.
private func fill(_ buffer: FloatBuffer) {
  var state: UInt32 = 1
  for index in 0..<buffer.count {
    state = state &* 1_664_525 &+ 1_013_904_223
    buffer.pointer[index] = Float(Int32(bitPattern: state)) / 0x1p31
  }
}
