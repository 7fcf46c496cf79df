import Distillation
import Imagery
import Numerics

/// Reads pictures and lets the teacher look at them.
package final class FeatureExtractor {
  /// Enough to keep the threads busy, and little memory.
  package static let imagesAtATime = 8

  private let teacher: Teacher
  package let team: ThreadTeam
  private let pixels: FloatBuffer
  package var architecture: Architecture { teacher.architecture }
  /// The most images at a time.
  package var capacity: Int { teacher.capacity }

  package init(_ teacher: Teacher, team: ThreadTeam) {
    self.teacher = teacher
    self.team = team
    let side = teacher.architecture.model.imageSize
    pixels = FloatBuffer(teacher.capacity * side * side * 3)
  }

  /// Decodes, resizes and normalises pictures: the paper's preprocessing.
  /// - Throws: `Failure(.badData)` that names a picture that cannot be read.
  package func read(_ paths: [String]) throws {
    let (pixels, size) = (pixels.pointer, architecture.model.imageSize)
    try team.run(paths.count) { index, _ in
      Self.normalize(try ImageFile.decode(paths[index]), size: size, into: pixels, place: index)
    }
  }

  /// Resizes and normalises pictures that were decoded.
  package func take(_ pictures: [Raster]) throws {
    let (pixels, size) = (pixels.pointer, architecture.model.imageSize)
    try team.run(pictures.count) { index, _ in
      Self.normalize(pictures[index], size: size, into: pixels, place: index)
    }
  }

  private static func normalize(
    _ picture: Raster, size: Int, into pixels: UnsafeMutablePointer<Float>, place: Int
  ) {
    picture.resized(width: size, height: size).normalized(into: pixels + place * size * size * 3)
  }

  /// The features of the first `images` pictures that were read or taken, into `target` from image `first` on.
  package func extract(_ images: Int, into target: FeatureBuffer, first: Int = 0) throws {
    guard images > 0 else { return }
    try teacher.forward(pixels.pointer, images: images, into: target, first: first)
  }
}
