import Network
import Numerics

/// Feature maps of the three scales for some images, NHWC: the teacher's f1, f2, f3 or the student's d1, d2, d3.
public struct Features {
  /// Scale 1, 2, 3: images x H x W x C each.
  public var scales: [UnsafePointer<Float>]
  /// What the teacher's own stage 4 makes of f3, where that is the bottleneck.
  public var embedding: UnsafePointer<Float>?
}

/// Memory for the teacher's features of some images.
public final class FeatureBuffer {
  private let architecture: Architecture
  private let buffers: [FloatBuffer]
  /// The most images.
  public let capacity: Int
  /// Where they lie.
  public let features: Features

  /// The scales that the student needs: three, and the embedding where the teacher makes that too.
  public static func scales(_ architecture: Architecture) -> ClosedRange<Int> { 1...architecture.teacherStageCount }

  /// Floats that one image's features take.
  public static func countPerImage(_ architecture: Architecture) -> Int {
    scales(architecture).reduce(0) { $0 + architecture.featureCount(ofScale: $1) }
  }

  public init(_ architecture: Architecture, images: Int) {
    self.architecture = architecture
    capacity = images
    buffers = Self.scales(architecture).map { FloatBuffer(images * architecture.featureCount(ofScale: $0)) }
    features = Features(
      scales: buffers.prefix(3).map { UnsafePointer($0.pointer) },
      embedding: buffers.count > 3 ? UnsafePointer(buffers[3].pointer) : nil)
  }

  /// Where an image's features at a scale lie.
  func place(scale: Int, image: Int) -> UnsafeMutablePointer<Float> {
    buffers[scale - 1].pointer + image * architecture.featureCount(ofScale: scale)
  }

  /// Whether all features of an image are finite.
  public func isFinite(image: Int) -> Bool {
    Self.scales(architecture).allSatisfy {
      areFinite(place(scale: $0, image: image), count: architecture.featureCount(ofScale: $0))
    }
  }

  /// Copies one image's features, scale after scale, out of this buffer.
  public func copy(image: Int, to target: UnsafeMutablePointer<Float>) {
    var target = target
    for scale in Self.scales(architecture) {
      let count = architecture.featureCount(ofScale: scale)
      target.update(from: place(scale: scale, image: image), count: count)
      target += count
    }
  }

  /// Copies one image's features, scale after scale, into this buffer.
  public func copy(from source: UnsafePointer<Float>, toImage image: Int) {
    var source = source
    for scale in Self.scales(architecture) {
      let count = architecture.featureCount(ofScale: scale)
      place(scale: scale, image: image).update(from: source, count: count)
      source += count
    }
  }
}
