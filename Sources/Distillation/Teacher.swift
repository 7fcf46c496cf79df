import CVectorKernels
import Network
import Numerics

/// The frozen network that the student learns to imitate on normal images.
public final class Teacher {
  public let architecture: Architecture
  private let engine: any ConvolutionEngine
  private let stem: FrozenConvolution
  private let stages: [Stage<FrozenConvolution>]
  private let stemOutput: FloatBuffer
  private let pooled: FloatBuffer?
  /// The most images at a time.
  public let capacity: Int
  /// What another network may use while this one does not compute.
  public let activations: ActivationMemory

  /// - Parameters:
  ///   - weights: under their file's names; see ``TeacherWeights``.
  ///   - capacity: the most images at a time.
  public init(
    _ architecture: Architecture, weights: TeacherWeights, engine: any ConvolutionEngine, capacity: Int
  ) throws {
    self.architecture = architecture
    self.engine = engine
    self.capacity = capacity
    let memory = ActivationMemory(images: capacity, keepsActivations: false)
    activations = memory
    func unit(_ description: UnitDescription) throws -> FrozenConvolution {
      try FrozenConvolution(
        description, try weights.table.convolution(description), engine: engine, images: capacity)
    }
    stem = try unit(architecture.teacherStem)
    stages = try (1...architecture.teacherStageCount).map {
      try Stage(architecture.teacherStage($0), memory: memory, unit: unit)
    }
    stemOutput = memory.own(stem.shape.outputCount)
    pooled = architecture.poolsStem ? memory.own(stem.shape.outputCount / 4) : nil
  }

  /// Computes the features of normalised images, NHWC, into `target` from image `first` on.
  public func forward(_ x: UnsafePointer<Float>, images: Int, into target: FeatureBuffer, first: Int = 0) throws {
    try stem.forward(x, images: images, into: stemOutput.pointer)
    var input = UnsafePointer(stemOutput.pointer)
    if let pooled {
      let (shape, stemOutput, pooled) = (stem.shape, input, pooled.pointer)
      try engine.team.run(images) { image, _ in
        rd_max_pool(
          stemOutput + image * shape.outputCount, shape.outputHeight, shape.outputWidth, shape.outputChannels,
          pooled + image * shape.outputCount / 4)
      }
      input = UnsafePointer(pooled)
    }
    for (index, stage) in stages.enumerated() {
      input = try stage.forward(input, images: images)
      target.place(scale: index + 1, image: first)
        .update(from: input, count: images * architecture.featureCount(ofScale: index + 1))
    }
  }
}
