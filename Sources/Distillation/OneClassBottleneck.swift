import Network
import Numerics

/// The one-class bottleneck embedding (the paper's section 3.3): multi-scale feature fusion (MFF), then the one-class embedding (OCE).
///
/// As an ablation (table 5) the embedding alone stands on scale 3, or the teacher's own stage 4 takes the place of all of it.
public final class OneClassBottleneck<Unit: ConvolutionUnit> {
  private let architecture: Architecture
  private let team: ThreadTeam
  let fusion: MultiScaleFusion<Unit>?
  let embedding: Stage<Unit>?

  init(
    _ architecture: Architecture, memory: ActivationMemory, team: ThreadTeam, unit: (UnitDescription) throws -> Unit
  ) rethrows {
    self.architecture = architecture
    self.team = team
    let bottleneck = architecture.model.bottleneck
    fusion =
      bottleneck == .multiScale ? try MultiScaleFusion(architecture, memory: memory, team: team, unit: unit) : nil
    embedding = bottleneck == .pretrained ? nil : try Stage(architecture.embedding, memory: memory, unit: unit)
  }

  /// - Returns: the embedding, images x S/32 x S/32 x 512 (or 2048).
  func forward(_ features: Features, images: Int) throws -> UnsafePointer<Float> {
    guard let embedding else {
      guard let teachers = features.embedding else { preconditionFailure("the teacher made no embedding") }
      return teachers
    }
    return try embedding.forward(
      fusion?.forward(features, images: images) ?? features.scales[2], images: images)
  }
}

extension OneClassBottleneck where Unit == NormalizedConvolution {
  /// Whether anything learns from the embedding's gradient.
  var needsGradient: Bool { embedding != nil }

  /// Back-propagates the step's gradient, that of the embedding, to the parameters. The teacher's features need none.
  func backward(_ step: TrainingStep, features: Features) throws {
    try embedding?.backward(step, inputChannels: fusion.map { $0.learntChannels } ?? 0)
    try fusion?.backward(step, features: features)
  }
}

/// Brings the three scales to the resolution of the third and puts their channels side by side, in the paper's preset through a 1x1
/// convolution besides.
final class MultiScaleFusion<Unit: ConvolutionUnit> {
  private let architecture: Architecture
  private let team: ThreadTeam
  /// Scale 1 goes through the first two, scale 2 through the third.
  private let convolutions: [Unit]
  private let projection: Unit?
  private let halved: FloatBuffer
  private let concatenation: FloatBuffer
  private let projected: FloatBuffer?
  /// Of `halved`, in training.
  private let halvedGradient: FloatBuffer?

  init(
    _ architecture: Architecture, memory: ActivationMemory, team: ThreadTeam, unit: (UnitDescription) throws -> Unit
  ) rethrows {
    self.architecture = architecture
    self.team = team
    convolutions = try architecture.fusionConvolutions.map(unit)
    projection = try architecture.fusionProjection.map(unit)
    halved = memory.own(convolutions[0].shape.outputCount)
    concatenation = memory.own(3 * convolutions[1].shape.outputCount)
    projected = projection.map { memory.own($0.shape.outputCount) }
    halvedGradient = memory.innerGradient(convolutions[0].shape.outputCount)
  }

  private var width: Int { architecture.concatenatedChannels }
  /// Channels of each third of the concatenation.
  private var part: Int { width / 3 }

  func forward(_ features: Features, images: Int) throws -> UnsafePointer<Float> {
    try convolutions[0].forward(features.scales[0], images: images, into: halved.pointer)
    let concatenation = concatenation.pointer
    try convolutions[1].forward(
      .fp32(halved.pointer), images: images, residual: nil, into: concatenation, stored: .fp32, stride: width)
    try convolutions[2].forward(
      .fp32(features.scales[1]), images: images, residual: nil, into: concatenation + part, stored: .fp32,
      stride: width)
    let (third, part, width) = (features.scales[2], part, width)
    let pixels = architecture.side(ofScale: 3) * architecture.side(ofScale: 3)
    try team.run(images) { image, _ in
      for pixel in image * pixels..<(image + 1) * pixels {
        (concatenation + pixel * width + 2 * part).update(from: third + pixel * part, count: part)
      }
    }
    guard let projection, let projected else { return UnsafePointer(concatenation) }
    try projection.forward(concatenation, images: images, into: projected.pointer)
    return UnsafePointer(projected.pointer)
  }
}

extension MultiScaleFusion where Unit == NormalizedConvolution {
  /// How many channels of the output, from the first on, depend on parameters: the last third of the concatenation is the teacher's.
  var learntChannels: Int { projection?.shape.outputChannels ?? 2 * part }

  func backward(_ step: TrainingStep, features: Features) throws {
    let concatenation = concatenation.pointer
    if let projection {
      try projection.backward(
        step.gradient.pointer, x: .fp32(concatenation), into: step.gradient.pointer, channels: 2 * part)
    }
    guard let halvedGradient else { preconditionFailure("memory without gradients") }
    let (gradient, inner) = (step.gradient.pointer, halvedGradient.pointer)
    try convolutions[2].backward(gradient + part, stride: width, x: .fp32(features.scales[1]), into: nil)
    try convolutions[1].backward(gradient, stride: width, x: .fp32(halved.pointer), into: inner)
    try convolutions[0].backward(inner, x: .fp32(features.scales[0]), into: nil)
  }
}
