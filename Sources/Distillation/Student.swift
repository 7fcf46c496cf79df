import Diagnostics
import Network
import Numerics
import TensorFiles

/// What is trained: the one-class bottleneck embedding and the decoder, under one loss.
public final class Student {
  public let architecture: Architecture
  public let step: TrainingStep
  private let bottleneck: OneClassBottleneck<NormalizedConvolution>
  private let decoder: StudentDecoder<NormalizedConvolution>
  private let loss: LossFunction

  /// A student with all parameters zero: they are then initialised or read.
  public init(_ architecture: Architecture, step: TrainingStep) {
    self.architecture = architecture
    self.step = step
    let memory = ActivationMemory(images: step.capacity, keepsActivations: true)
    func unit(_ description: UnitDescription) -> NormalizedConvolution {
      NormalizedConvolution(description, step: step)
    }
    bottleneck = OneClassBottleneck(architecture, memory: memory, team: step.team, unit: unit)
    decoder = StudentDecoder(architecture, memory: memory, unit: unit)
    loss = LossFunction(architecture, step: step)
    step.parameters.allocate(nodes: step.accumulator.nodes.count)
  }

  /// Sets the parameters that training starts from.
  public func initialize(seed: UInt64) throws {
    let tensors = Initialization.tensors(of: architecture.studentUnits, seed: seed)
    try read(LazyTensors(tensors, source: "seed \(seed)"))
  }

  /// Reads parameters and running statistics.
  /// - Throws: `Failure(.badData)` that names a tensor that is missing or of another shape.
  public func read(_ table: some TensorSource) throws {
    try step.parameters.weights.read(table)
    try step.parameters.affine.read(table)
    try step.parameters.statistics.read(table)
  }

  /// Parameters and running statistics under the authors' names, in PyTorch's shapes.
  public var tensors: LazyTensors {
    LazyTensors(
      step.parameters.weights.tensors() + step.parameters.affine.tensors() + step.parameters.statistics.tensors(),
      source: "student")
  }

  /// The loss of the step's images, and this rank's partial gradients of all parameters in their arenas.
  /// - Parameters:
  ///   - features: the teacher's, of this rank's images.
  ///   - afterForward: called between the forward and the backward pass.
  /// - Throws: ``NonFiniteNumbers`` on all ranks alike.
  public func lossAndGradients(_ features: Features, afterForward: () -> Void = {}) throws -> Double {
    let embedding = try bottleneck.forward(features, images: step.images)
    let rebuilt = try decoder.forward(embedding, images: step.images)
    let loss = try loss.forward(teacher: features, student: rebuilt)
    // It is the same on all ranks.
    guard loss.isFinite else {
      throw NonFiniteNumbers(place: "the loss", images: self.loss.oddImages(teacher: features, student: rebuilt))
    }
    afterForward()
    try decoder.backward(step, needsInputGradient: bottleneck.needsGradient) { scale, adding, target in
      try self.loss.backward(scale: scale, teacher: features, student: rebuilt, adding: adding, into: target)
    }
    if bottleneck.needsGradient { try bottleneck.backward(step, features: features) }
    return loss
  }
}

/// A student that rebuilds and no longer learns: batch normalisations folded, with their running statistics.
public final class FrozenStudent {
  private let bottleneck: OneClassBottleneck<FrozenConvolution>
  private let decoder: StudentDecoder<FrozenConvolution>

  /// - Parameters:
  ///   - tensors: as ``Student/tensors``.
  ///   - capacity: the most images at a time.
  ///   - activations: of a network that computes at other times; used where they are of as many images.
  /// - Throws: `Failure(.badData)` that names a tensor that is missing or of another shape.
  public init(
    _ architecture: Architecture, tensors: some TensorSource, engine: any ConvolutionEngine, capacity: Int,
    activations: ActivationMemory? = nil
  ) throws {
    let shared = activations.flatMap { $0.images == capacity ? $0 : nil }
    let memory = shared ?? ActivationMemory(images: capacity, keepsActivations: false)
    func unit(_ description: UnitDescription) throws -> FrozenConvolution {
      try FrozenConvolution(description, try tensors.convolution(description), engine: engine, images: capacity)
    }
    bottleneck = try OneClassBottleneck(architecture, memory: memory, team: engine.team, unit: unit)
    decoder = try StudentDecoder(architecture, memory: memory, unit: unit)
  }

  /// - Returns: d1, d2, d3; valid until the next call.
  public func forward(_ features: Features, images: Int) throws -> Features {
    try decoder.forward(try bottleneck.forward(features, images: images), images: images)
  }
}
