import Diagnostics
import Distillation
import Imagery
import Numerics

/// Reads pictures, cuts them into the network's inputs, and lets the teacher look at these.
package final class FeatureExtractor {
  /// Enough inputs to keep the threads busy, and little memory.
  package static func inputsAtATime(on team: ThreadTeam) -> Int { min(2 * team.count, 8) }

  private let teacher: Teacher
  private let fit: ImageFit
  /// How pictures are cut.
  package let grid: TileGrid
  package let team: ThreadTeam
  private let inputs: FloatBuffer
  /// What was read last, brought to the grid's size.
  private var pictures: [Raster] = []
  private var paths: [String] = []
  package var architecture: Architecture { teacher.architecture }
  /// The most inputs at a time.
  package var capacity: Int { teacher.capacity }
  /// The most pictures that are worth being read at a time.
  package var picturesAtATime: Int { max(capacity / grid.count, 1) }

  /// What the most pictures at a time take in memory.
  package var pictureBytes: Int { capacity * grid.side * grid.side * 3 }

  package init(_ teacher: Teacher, fit: ImageFit, grid: TileGrid, team: ThreadTeam) {
    self.teacher = teacher
    self.fit = fit
    self.grid = grid
    self.team = team
    inputs = FloatBuffer(teacher.capacity * grid.tileSide * grid.tileSide * 3)
  }

  /// Decodes and resizes pictures.
  /// - Returns: their own widths and heights.
  /// - Throws: `Failure(.badData)` that names a picture that cannot be read.
  @discardableResult
  package func read(_ paths: [String]) throws -> [SIMD2<Int>] {
    let read = try team.map(paths.count) { [fit, grid] index in
      let picture = try ImageFile.decode(paths[index])
      return (square: fit.square(picture, side: grid.side), size: SIMD2(picture.width, picture.height))
    }
    (pictures, self.paths) = (read.map(\.square), paths)
    return read.map(\.size)
  }

  /// Resizes pictures that were decoded.
  package func take(_ pictures: [Raster], from paths: [String]) throws {
    self.pictures = try team.map(pictures.count) { [fit, grid] in fit.square(pictures[$0], side: grid.side) }
    self.paths = paths
  }

  /// The features of inputs, at most `capacity`, into `target` from place `first` on: the paper's preprocessing and the teacher.
  /// - Parameter numbers: of inputs: the tiles of the first picture that was read or taken last, then those of the second.
  /// - Throws: `Failure(.internalError)` that names a picture whose features are not finite.
  package func extract(_ numbers: some RandomAccessCollection<Int>, into target: FeatureBuffer, first: Int = 0) throws {
    guard !numbers.isEmpty else { return }
    let (inputs, numbers, side) = (inputs.pointer, Array(numbers), grid.tileSide)
    try team.run(numbers.count) { [grid, pictures] index, _ in
      let corner = grid.origin(of: numbers[index] % grid.count)
      pictures[numbers[index] / grid.count].cropped(x: corner.x, y: corner.y, width: side, height: side)
        .normalized(into: inputs + index * side * side * 3)
    }
    try teacher.forward(inputs, images: numbers.count, into: target, first: first)
    try team.run(numbers.count) { [grid, paths] index, _ in
      guard !target.isFinite(image: first + index) else { return }
      throw Failure.notFinite(
        "\(paths[numbers[index] / grid.count]): the teacher makes numbers of it that are not finite",
        hint: "are these the weights of a trained network?")
    }
  }
}
