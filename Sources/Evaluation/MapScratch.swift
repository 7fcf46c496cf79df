import Collectives
import FileSystem

/// The anomaly maps of a rank's images, in a scratch file: memory holds those that are looked at. The file is gone with its owner, however the process ends.
final class MapScratch: Sendable {
  private let file: OpenFile
  /// Values of a map.
  private let size: Int
  /// The numbers of the images of each rank.
  private let shares: [Range<Int>]
  private let own: Range<Int>
  private let communicator: any Communicator

  /// - Parameters:
  ///   - folder: where the file is made.
  ///   - size: the values of a map.
  ///   - shares: the numbers of the images of each rank, which follow each other.
  /// - Throws: `Failure` of `.inputOutput`.
  init(in folder: String, size: Int, shares: [Range<Int>], over communicator: any Communicator) throws {
    file = try OpenFile(scratchIn: folder, for: "maps")
    self.size = size
    self.shares = shares
    own = shares[communicator.rank]
    self.communicator = communicator
  }

  /// Keeps the map of one of this rank's images.
  /// - Throws: `Failure` of `.inputOutput`.
  func write(_ map: [Float], of image: Int) throws {
    precondition(own.contains(image) && map.count == size)
    try map.withUnsafeBytes { try file.write($0, at: (image - own.lowerBound) * $0.count) }
  }

  /// The map of one of this rank's images. Any thread may ask.
  /// - Throws: `Failure` of `.inputOutput`.
  func map(of image: Int) throws -> [Float] { try maps(of: image..<image + 1) }

  private func maps(of images: Range<Int>) throws -> [Float] {
    let count = images.count * size
    return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      let memory = UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: buffer[..<count]))
      try file.readAll(into: memory, at: (images.lowerBound - own.lowerBound) * size * MemoryLayout<Float>.size)
      initialized = count
    }
  }

  /// Brings the maps of all ranks to rank 0, some at a time, in the images' order. Collective.
  /// - Parameter take: called on rank 0 for each of them.
  /// - Throws: on all ranks the same `Failure`, that of `take` included.
  func collect(_ take: (_ image: Int, _ map: [Float]) throws -> Void) throws {
    // As many as 8 MiB hold: few collective calls, and little memory.
    let imagesAtATime = max((8 << 20) / (size * MemoryLayout<Float>.size), 1)
    for (owner, share) in shares.enumerated() {
      for start in stride(from: share.lowerBound, to: share.upperBound, by: imagesAtATime) {
        let images = start..<min(start + imagesAtATime, share.upperBound)
        let read = try communicator.agree { communicator.rank == owner ? try maps(of: images) : [] }
        var counts = [Int](repeating: 0, count: communicator.size)
        counts[0] = read.count
        let received = try communicator.allToAll(values: read, counts: counts)
        try communicator.agree {
          guard communicator.rank == 0 else { return }
          for (place, image) in images.enumerated() {
            try take(image, Array(received[place * size..<(place + 1) * size]))
          }
        }
      }
    }
  }
}
