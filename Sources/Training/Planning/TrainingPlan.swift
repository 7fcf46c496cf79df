import Collectives
import Diagnostics
import Distillation
import Foundation
import Jobs
import Numerics

/// What a run would take: memory, work, communication and time of a rank's step, found without training.
///
/// Nothing is computed beside the program: a process builds what a rank builds, and rehearses its steps with a communicator that only counts.
package struct TrainingPlan: Sendable {
  /// Memory of a rank for a purpose.
  package struct Memory: Sendable, Equatable, Encodable {
    package let purpose: String
    package let bytes: Int
    /// Whether it is had for a time only, and none of the others of this kind with it.
    package let isTransient: Bool

    init(_ purpose: String, _ bytes: Int, isTransient: Bool = false) {
      (self.purpose, self.bytes, self.isTransient) = (purpose, bytes, isTransient)
    }
  }

  /// What a rank exchanges in a step for a purpose.
  package struct Traffic: Sendable, Equatable {
    package let purpose: String
    package let exchanges: [Exchange]

    init(_ purpose: String, _ exchanges: [Exchange]) { (self.purpose, self.exchanges) = (purpose, exchanges) }

    package var sent: Int { exchanges.reduce(0) { $0 + $1.sent } }
    package var received: Int { exchanges.reduce(0) { $0 + $1.received } }
  }

  /// What a step takes without communication.
  struct StepSeconds: Sendable, BitwiseCopyable, Encodable {
    var input: Double
    var student: Double
    var adam: Double
    var sum: Double { input + student + adam }
  }

  let configuration: TrainingConfiguration
  package let ranks: Int
  let ranksOnHost: Int
  let threads: Int
  let engine: String
  /// Inputs of the network, of which an image has as many as it has tiles.
  package let images: Int
  let imagesText: String
  package let stepsPerEpoch: Int
  package let steps: Int
  /// Images of a full step, on all ranks and on the rank that has the most.
  package let batch: Int
  let largestBatch: Int
  /// The images of the rank that has the most of them.
  let largestShare: Int

  package let memory: [Memory]
  /// Of the host, free for all of its ranks.
  let freeMemory: Int
  package let traffic: [Traffic]
  /// Floating-point operations of an image, counted as direct convolutions.
  let forwardWork: Double
  let backwardWork: Double
  let teacherWork: Double
  /// The median of the rehearsed steps; nil where there is not the memory for them.
  let seconds: StepSeconds?
  /// An image from file to features.
  let featureSeconds: Double?
  /// The same before the first step, when the images come in the order of their files.
  let preparationSeconds: Double?

  /// The most that a rank has at a time.
  package var peakMemory: Int { Self.peak(of: memory) }

  private static func peak(of memory: [Memory]) -> Int {
    let lasting = memory.filter { !$0.isTransient }.reduce(0) { $0 + $1.bytes }
    return lasting + (memory.filter(\.isTransient).map(\.bytes).max() ?? 0)
  }

  var fits: Bool { peakMemory * ranksOnHost <= freeMemory }

  /// The seconds of a step's communication.
  package func communicationSeconds(_ link: NetworkLink) -> Double {
    // Ranks of one host alone have a "network" of their own.
    let sharing = ranksOnHost < ranks ? ranksOnHost : 1
    return traffic.flatMap(\.exchanges).reduce(0) { $0 + link.seconds($1, ranks: ranks, sharing: sharing) }
  }
}

extension TrainingPlan {
  /// Steps that are timed.
  private static let rehearsedSteps = 5

  /// Plans a run. Collective: every process plays one of the ranks, at the same time, so that they get in each other's way as in the run.
  /// - Parameters:
  ///   - ranks: how many ranks the run shall have; without a number, as many as there are here. Of more the busiest are rehearsed.
  /// - Throws: what the run would throw for the same images, teacher and configuration. No file is written.
  package init(_ configuration: TrainingConfiguration, ranks: Int? = nil, over communicator: any Communicator) throws {
    let program = ProcessMemory.resident
    let ranks = ranks ?? communicator.size
    guard ranks >= communicator.size else {
      throw Failure(
        .usage, "\(communicator.size) processes cannot play \(ranks) ranks", hint: "start one process alone",
        isOnAllRanks: true)
    }
    let inputs = try TrainingInputs(configuration, ranks: ranks, over: communicator)
    let placement = try Placement(communicator)
    let (tree, order, architecture) = (inputs.tree, inputs.order, inputs.architecture)
    func images(of rank: Int) -> Int {
      tree.shards(of: rank).reduce(0) { $0 + order.places(ofStep: 0, shard: $1).count }
    }
    func share(of rank: Int) -> Int {
      tree.shards(of: rank).reduce(0) { $0 + order.order(ofShard: $1, epoch: 0).count }
    }
    let byWork = (0..<ranks).sorted {
      (images(of: $0), tree.nodes(of: $0).count, $1) > (images(of: $1), tree.nodes(of: $1).count, $0)
    }

    let team = ThreadTeam(count: configuration.threads ?? placement.threads)
    defer { team.finish() }
    let rehearsal = try communicator.agree {
      try Rehearsal(configuration, inputs, rank: byWork[communicator.rank], team: team)
    }
    let own = try communicator.agree { try rehearsal.memory(placement, program: program) }
    let totals = try communicator.allGather(values: own.map(\.bytes))
    let parts = stride(from: 0, to: totals.count, by: own.count).map { start in
      zip(own, totals[start...]).map { Memory($0.purpose, $1, isTransient: $0.isTransient) }
    }

    self.configuration = configuration
    self.ranks = ranks
    ranksOnHost = placement.ranksOnHost
    threads = team.count
    engine = rehearsal.engineName
    self.images = order.images
    imagesText = inputs.imagesText
    stepsPerEpoch = order.stepsPerEpoch
    steps = inputs.stepCount
    batch = order.batch(ofStep: 0)
    largestBatch = (0..<ranks).map(images(of:)).max() ?? 0
    largestShare = (0..<ranks).map(share(of:)).max() ?? 0
    memory = parts.max { Self.peak(of: $0) < Self.peak(of: $1) } ?? []
    freeMemory = placement.freeMemory
    (forwardWork, backwardWork) = (architecture.studentForwardWork, architecture.studentBackwardWork)
    teacherWork = architecture.teacherWork

    let isEnough = Self.peak(of: memory) * placement.ranksOnHost <= placement.freeMemory
    let hasRoom = try communicator.allGather(values: [isEnough ? 1 : 0])
    guard !hasRoom.contains(0) else {
      (traffic, seconds, featureSeconds, preparationSeconds) = ([], nil, nil, nil)
      return
    }
    func slowest(areShuffled: Bool) throws -> Double {
      let time = try communicator.agree { try rehearsal.secondsPerImage(areShuffled: areShuffled) }
      return try communicator.allGather(values: [time]).max() ?? 0
    }
    let featureSeconds = try slowest(areShuffled: true)
    preparationSeconds = configuration.tiles > 1 ? try slowest(areShuffled: false) : featureSeconds
    let (traffic, steps) = try communicator.agree { try rehearsal.steps(Self.rehearsedSteps) }
    self.traffic = traffic
    self.featureSeconds = featureSeconds
    // The slowest rank of each step is what the others wait for.
    let all = try communicator.allGather(values: steps)
    let slowest = steps.indices.compactMap { step in
      stride(from: step, to: all.count, by: steps.count).map { all[$0] }.max { $0.sum < $1.sum }
    }
    var median = slowest.sorted { $0.sum < $1.sum }[slowest.count / 2]
    median.input += rehearsal.missingShare(placement) * featureSeconds * Double(largestBatch)
    seconds = median
  }
}
