import Diagnostics
import Distillation
import Imagery
import Numerics

/// Reads pictures and lets the teacher look at them.
package final class FeatureExtractor {
  /// Enough to keep the threads busy, and little memory.
  package static let imagesAtATime = 8

  private let teacher: Teacher
  private let fit: ImageFit
  package let team: ThreadTeam
  private let pixels: FloatBuffer
  /// Of the pictures that were read last.
  private var paths: [String] = []
  package var architecture: Architecture { teacher.architecture }
  /// The most images at a time.
  package var capacity: Int { teacher.capacity }

  package init(_ teacher: Teacher, fit: ImageFit, team: ThreadTeam) {
    self.teacher = teacher
    self.fit = fit
    self.team = team
    let side = teacher.architecture.model.imageSize
    pixels = FloatBuffer(teacher.capacity * side * side * 3)
  }

  /// Decodes, resizes and normalises pictures: the paper's preprocessing.
  /// - Returns: their own widths and heights.
  /// - Throws: `Failure(.badData)` that names a picture that cannot be read.
  @discardableResult
  package func read(_ paths: [String]) throws -> [SIMD2<Int>] {
    let (pixels, size, fit) = (pixels.pointer, architecture.model.imageSize, fit)
    self.paths = paths
    return try team.map(paths.count) { index in
      let picture = try ImageFile.decode(paths[index])
      fit.square(picture, side: size).normalized(into: pixels + index * size * size * 3)
      return SIMD2(picture.width, picture.height)
    }
  }

  /// Resizes and normalises pictures that were decoded.
  package func take(_ pictures: [Raster], from paths: [String]) throws {
    let (pixels, size, fit) = (pixels.pointer, architecture.model.imageSize, fit)
    self.paths = paths
    try team.run(pictures.count) { index, _ in
      fit.square(pictures[index], side: size).normalized(into: pixels + index * size * size * 3)
    }
  }

  /// The features of the first `images` pictures that were read or taken, into `target` from image `first` on.
  /// - Throws: `Failure(.internalError)` that names a picture whose features are not finite.
  package func extract(_ images: Int, into target: FeatureBuffer, first: Int = 0) throws {
    guard images > 0 else { return }
    try teacher.forward(pixels.pointer, images: images, into: target, first: first)
    try team.run(images) { [paths] image, _ in
      guard !target.isFinite(image: first + image) else { return }
      throw Failure(
        .internalError, "\(paths[image]): the teacher makes numbers of it that are not finite",
        hint: "are these the weights of a trained network?")
    }
  }
}
