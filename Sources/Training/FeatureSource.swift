import Collectives
import Diagnostics
import Distillation
import Imagery
import Numerics
import Scoring

/// The teacher's features of this rank's training images, or of their tiles, each of which counts as an image here. There is no augmentation, so
/// they are the same in every epoch: they are computed once, and kept as far as the memory goes.
final class FeatureSource {
  private let extractor: FeatureExtractor
  private let manifest: ImageManifest
  private let countPerImage: Int
  /// The features of an image, scale after scale, for those that are kept.
  private var cache: [Int: FloatBuffer] = [:]

  /// Whether all of this rank's images are kept, so that reading them again cannot fail.
  private(set) var isComplete = false
  /// The same of every rank.
  var isCompleteOnAllRanks = false

  init(_ extractor: FeatureExtractor, manifest: ImageManifest) {
    self.extractor = extractor
    self.manifest = manifest
    countPerImage = FeatureBuffer.countPerImage(extractor.architecture)
  }

  private var bytesPerImage: Int { countPerImage * MemoryLayout<Float>.stride }

  /// Of how many images the features are kept in so many bytes.
  static func kept(of images: Int, bytesPerImage: Int, bytes: Int) -> Int { min(bytes / bytesPerImage, images) }

  /// Reads all images of this rank, which shows that they can be read, and keeps the features of as many as `bytes` hold.
  /// - Parameter progress: called with the number of images that are done.
  /// - Throws: `Failure(.badData)` that names an image that cannot be read, or what `progress` throws.
  func prepare(_ images: [Int], bytes: Int, progress: (Int) throws -> Void) throws {
    let room = Self.kept(of: images.count, bytesPerImage: bytesPerImage, bytes: bytes)
    let buffer = FeatureBuffer(extractor.architecture, images: extractor.capacity)
    for start in stride(from: 0, to: images.count, by: extractor.capacity) {
      let part = images[start..<min(start + extractor.capacity, images.count)]
      let kept = part.prefix(max(room - start, 0))
      try extractor.extract(try read(part).prefix(kept.count), into: buffer)
      for (index, image) in kept.enumerated() {
        let memory = FloatBuffer(countPerImage)
        buffer.copy(image: index, to: memory.pointer)
        cache[image] = memory
      }
      try progress(start + part.count)
    }
    isComplete = room == images.count
  }

  /// Writes the features of these images into `target`, in their order.
  /// - Parameter afterPhase: called with the name of what has been done.
  func features(_ images: [Int], into target: FeatureBuffer, afterPhase: (String) -> Void = { _ in }) throws {
    try extractor.team.run(images.count) { index, _ in
      if let kept = cache[images[index]] { target.copy(from: kept.pointer, toImage: index) }
    }
    var index = 0
    while index < images.count {
      // Images that lie side by side and are not kept go through the teacher together.
      let missing = images[index...].prefix { cache[$0] == nil }.prefix(extractor.capacity)
      if !missing.isEmpty {
        let inputs = try read(missing)
        afterPhase("input")
        try extractor.extract(inputs, into: target, first: index)
        afterPhase("teacher")
      }
      index += max(missing.count, 1)
    }
  }

  /// Reads what these images are tiles of, each file once.
  /// - Returns: their numbers for the extractor.
  private func read(_ images: ArraySlice<Int>) throws -> [Int] {
    let tiles = extractor.grid.count
    var files: [Int] = []
    let inputs = images.map { image in
      let file = image / tiles
      let place = files.firstIndex(of: file) ?? files.count
      if place == files.count { files.append(file) }
      return place * tiles + image % tiles
    }
    try extractor.read(files.map { manifest.images[$0].path })
    return inputs
  }
}
