import Collectives
import Diagnostics
import FileSystem
import Foundation
import Imagery
import Jobs
import Numerics

/// What `skip_unreadable` asks for: images that cannot be read are left out, on all ranks alike, and the run's folder says which. A run that
/// goes on leaves out those that it began without.
extension ImageManifest {
  /// The images to train on. Collective; each rank reads its share of them.
  /// - Parameter run: where the run that this may be the continuation of noted what it began without.
  func readable(
    resuming run: RunFolder, _ resume: TrainingConfiguration.Resume, over communicator: any Communicator,
    console: Console?
  ) throws -> ImageManifest {
    // A list of none is a list too.
    let isRecorded = communicator.rank == 0 && resume == .automatic && run.hasCheckpoints && isFile(run.skipped)
    if try communicator.allGather(values: [isRecorded])[0] {
      let recorded = try communicator.agree { communicator.rank == 0 ? try readFile(run.skipped) : [] }
      let lines = try communicator.allGather(recorded)[0]
      return try communicator.agree { without(try [UnreadableImage](lines: lines, file: run.skipped)) }
    }
    let own = evenRange(communicator.rank, of: communicator.size, count: images.count)
    let found = own.compactMap { index in
      console?.progress(
        index + 1 - own.lowerBound, of: own.count, "image \(index + 1 - own.lowerBound)/\(own.count) read")
      return images[index].unreadable
    }
    let all = try communicator.allGather(coded: found)
    let rest = without(all)
    guard !rest.images.isEmpty else {
      throw Failure(
        .badData, "\(root): none of the \(all.count) images can be read; the first: \(all.first?.reason ?? "")",
        isOnAllRanks: true)
    }
    return rest
  }
}

extension [UnreadableImage] {
  /// As JSON, one a line.
  func lines() throws -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try flatMap { try encoder.encode($0) + [UInt8(ascii: "\n")] }
  }

  fileprivate init(lines: [UInt8], file: String) throws {
    do {
      self = try lines.split(separator: UInt8(ascii: "\n")).map {
        try decodeJSON(UnreadableImage.self, from: $0)
      }
    } catch {
      throw Failure(
        .badData, "\(file): not a list of images", hint: "begin anew with --resume never, or in another --output")
    }
  }
}
