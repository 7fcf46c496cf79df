import Diagnostics
import FileSystem

/// The pixels of a rank's share of a test set. Memory holds a part of them only; the others lie, sorted, in a scratch file, which is gone with the
/// store, however the process ends.
public final class PixelStore {
  /// What the pixels may take in memory, in bytes.
  let memory: Int
  /// Pixels of each region that has been seen, by part.
  private(set) var areas: [[Int]]
  /// Background pixels, by part.
  private(set) var backgroundCounts: [Int]
  /// Bytes of the keys that begin with the same 16 bits.
  private(set) var histogram = [Int](repeating: 0, count: 1 << 16)

  /// Pixels of one part that were sorted together.
  private struct Run {
    let part: Int
    /// The number, among the rank's regions of the part, of the region that the run's own numbers count from.
    let firstRegion: Int
    var background: KeyQueue<UInt32>
    var defects: KeyQueue<UInt64>
  }

  private let file: OpenFile
  private var end = 0
  private var runs: [Run] = []
  /// The pixels of the next run, and their part.
  private var scores: PixelScores
  private var part = 0

  /// - Parameters:
  ///   - width: Columns of every map and mask.
  ///   - height: Their rows.
  ///   - parts: The normal images and each kind of defect.
  ///   - memory: What the pixels may take in memory, in bytes, here and in `metrics`.
  ///   - folder: Where the scratch file is made. It will have as many bytes as the maps.
  /// - Throws: `Failure` of `.inputOutput`.
  public init(width: Int, height: Int, parts: Int, memory: Int, folder: String) throws {
    self.memory = memory
    scores = PixelScores(width: width, height: height)
    areas = [[Int]](repeating: [], count: parts)
    backgroundCounts = [Int](repeating: 0, count: parts)
    file = try OpenFile(scratchIn: folder, for: "pixels")
  }

  /// Adds an image. Images of one part should follow each other.
  /// - Parameters:
  ///   - map: The image's scores, `height` x `width`, row by row.
  ///   - mask: Its defect pixels; nil where there are none. An image of which they are not known is left out by the caller.
  ///   - part: 0 for a normal image, else the number of its kind of defect.
  /// - Throws: `Failure` when a score is not finite, for a wrong size, and of `.inputOutput`.
  public func add(map: [Float], mask: [Bool]?, part: Int) throws {
    if part != self.part { try spill() }
    self.part = part
    try scores.add(map: map, mask: mask)
    // Arrays that grow take up to three times what they hold, and sorting takes twice that.
    if scores.byteCount >= memory / 4 { try spill() }
  }

  /// Sorts the pixels that memory holds and brings them to the file.
  func spill() throws {
    guard scores.byteCount > 0 else { return }
    let firstRegion = areas[part].count
    areas[part] += scores.areas
    backgroundCounts[part] += scores.backgroundCount
    let sorted = exchange(&scores, with: PixelScores(width: scores.width, height: scores.height)).sorted()
    for key in sorted.background { histogram[Int(key >> 16)] += MemoryLayout<UInt32>.size }
    for key in sorted.defects { histogram[Int(key >> 48)] += MemoryLayout<UInt64>.size }
    runs.append(
      Run(
        part: part, firstRegion: firstRegion, background: try KeyQueue(sorted.background, in: file, end: &end),
        defects: try KeyQueue(sorted.defects, in: file, end: &end)))
  }

  /// Bytes of the keys that begin with the 16 bits of `bucket`, by their other 16.
  func histogram(of bucket: Int) throws -> [Int] {
    var bytes = [Int](repeating: 0, count: 1 << 16)
    for run in runs {
      let first = UInt32(bucket) << 16
      var (background, defects) = (run.background, run.defects)
      if bucket > 0 {
        _ = try background.take(through: first - 1, in: file)
        _ = try defects.take(through: lastDefect(of: first - 1), in: file)
      }
      for key in try background.keys(background.take(through: first | 0xFFFF, in: file), in: file) {
        bytes[Int(key & 0xFFFF)] += MemoryLayout<UInt32>.size
      }
      for key in try defects.keys(defects.take(through: lastDefect(of: first | 0xFFFF), in: file), in: file) {
        bytes[Int(key >> 32 & 0xFFFF)] += MemoryLayout<UInt64>.size
      }
    }
    return bytes
  }

  /// Takes a part's background pixels up to each of these keys.
  /// - Returns: the pixels up to the first key, up to the second, and so on, and how many there are of each.
  func takeBackground(through last: [UInt32], part: Int) throws -> (keys: [UInt32], counts: [Int]) {
    try take(\.background, through: last, part: part)
  }

  /// Takes a part's defect pixels up to each of these keys.
  /// - Parameter firstRegion: the number, among all regions of the part, of this rank's first.
  /// - Returns: as `takeBackground`.
  func takeDefects(through last: [UInt32], part: Int, firstRegion: Int) throws -> (keys: [UInt64], counts: [Int]) {
    try take(\.defects, through: last.map(lastDefect), part: part, offset: firstRegion)
  }

  /// Takes the pixels of one key, however many they are.
  func takeTie(of key: UInt32) throws -> PixelTie {
    var tie = PixelTie(background: backgroundCounts.map { _ in 0 }, defects: areas.map { $0.map { _ in 0 } })
    for index in runs.indices {
      let part = runs[index].part
      tie.background[part] += try runs[index].background.take(through: key, in: file).count
      let found = try runs[index].defects.take(through: lastDefect(of: key), in: file)
      for defect in try runs[index].defects.keys(found, in: file) {
        tie.defects[part][runs[index].firstRegion + Int(defect & 0xFFFF_FFFF)] += 1
      }
    }
    return tie
  }

  private func take<Key>(
    _ queue: WritableKeyPath<Run, KeyQueue<Key>>, through last: [Key], part: Int, offset: Int? = nil
  ) throws -> (keys: [Key], counts: [Int]) {
    let chosen = runs.indices.filter { runs[$0].part == part }
    var slices: [(run: Int, numbers: Range<Int>)] = []
    let counts = try last.map { last in
      try chosen.reduce(0) { count, run in
        let numbers = try runs[run][keyPath: queue].take(through: last, in: file)
        slices.append((run, numbers))
        return count + numbers.count
      }
    }
    let total = counts.reduce(0, +)
    let keys = try [Key](unsafeUninitializedCapacity: total) { buffer, count in
      for (run, numbers) in slices {
        let place = UnsafeMutableBufferPointer(rebasing: buffer[count..<count + numbers.count])
        try runs[run][keyPath: queue].read(numbers, in: file, into: place)
        if let offset {
          // The region's number is the key's lower half: it cannot run over into the upper one.
          let toAll = Key(offset + runs[run].firstRegion)
          for index in place.indices { place[index] += toAll }
        }
        count += numbers.count
      }
    }
    return (keys, counts)
  }
}

/// The last key that a defect pixel of this score may have.
private func lastDefect(of key: UInt32) -> UInt64 { UInt64(key) << 32 | 0xFFFF_FFFF }
