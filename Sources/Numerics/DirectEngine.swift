import COneDNN
import Diagnostics

/// Convolutions by oneDNN's direct kernels, single precision.
public final class DirectEngine: ConvolutionEngine, @unchecked Sendable {
  public let team: ThreadTeam
  private let partials: ShardPartials

  /// Whether this build holds oneDNN.
  public static var isAvailable: Bool { rd_dnn_available() != 0 }

  /// The version of oneDNN that is loaded; empty where there is none.
  public static var version: String { String(cString: rd_dnn_version()) }

  /// - Throws: `Failure(.configuration)` where this build holds no oneDNN.
  public init(team: ThreadTeam) throws {
    guard Self.isAvailable else {
      throw Failure(
        .configuration, "this build has no oneDNN",
        hint: "use the engine openblas, or install libdnnl-dev and build again")
    }
    self.team = team
    partials = ShardPartials(team: team)
  }

  public var name: String { "oneDNN \(Self.version)" }

  public func reserve(_ shape: ConvolutionShape, images: Int, shards: Int) {
    partials.reserve(weightCount: shape.weightCount, shards: shards)
  }

  public func forward(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    try split(images) { images in
      var layer = rd_dnn_shape(shape)
      return rd_dnn_forward(
        &layer, Int32(images.count), x + images.lowerBound * shape.inputCount, weights,
        y + images.lowerBound * shape.outputCount)
    }
  }

  public func inputGradient(
    _ shape: ConvolutionShape, images: Int, dy: UnsafePointer<Float>, weights: UnsafePointer<Float>,
    into dx: UnsafeMutablePointer<Float>
  ) throws {
    try split(images) { images in
      var layer = rd_dnn_shape(shape)
      return rd_dnn_input_gradient(
        &layer, Int32(images.count), dy + images.lowerBound * shape.outputCount, weights,
        dx + images.lowerBound * shape.inputCount)
    }
  }

  public func weightGradient(
    _ shape: ConvolutionShape, shards: [Range<Int>], x: UnsafePointer<Float>, dy: UnsafePointer<Float>,
    sum: (_ block: WeightBlock, _ thread: Int, _ partial: ShardPartial) throws -> Void
  ) throws {
    try partials.weightGradient(shape, shards: shards, sum: sum) { images, _, _, output in
      var layer = rd_dnn_shape(shape)
      try check(
        rd_dnn_weight_gradient(
          &layer, Int32(images.count), x + images.lowerBound * shape.inputCount,
          dy + images.lowerBound * shape.outputCount, output))
    }
  }

  public func largestBlock(_ shape: ConvolutionShape) -> Int { min(ShardPartials.block, shape.weightCount) }

  /// Gives each thread an equal part of the images.
  private func split(_ images: Int, _ call: (Range<Int>) -> Int32) throws {
    let parts = min(images, team.count)
    try team.run(parts) { part, _ in try check(call(evenRange(part, of: parts, count: images))) }
  }

  private func check(_ status: Int32) throws {
    guard status == 0 else { throw Failure(.internalError, String(cString: rd_dnn_error())) }
  }
}

extension rd_dnn_shape {
  fileprivate init(_ shape: ConvolutionShape) {
    self.init(
      input_channels: Int32(shape.inputChannels), output_channels: Int32(shape.outputChannels),
      kernel: Int32(shape.kernel), stride: Int32(shape.stride), padding: Int32(shape.padding),
      transposed: shape.isTransposed ? 1 : 0, input_height: Int32(shape.inputHeight),
      input_width: Int32(shape.inputWidth), output_height: Int32(shape.outputHeight),
      output_width: Int32(shape.outputWidth))
  }
}
