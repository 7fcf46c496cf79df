import Diagnostics
import FileSystem
import RandomStreams

/// A picture of a data set.
public struct ImageEntry: Sendable, Equatable {
  public let path: String
  /// The path from the root of the data set, such as "train/good/000.png": the same on every host.
  public let relativePath: String
  public let byteCount: Int

  /// What keeps it from being read, nil where nothing does. It is read for that.
  public var unreadable: UnreadableImage? {
    do {
      _ = try ImageFile.decode(path)
      return nil
    } catch {
      return UnreadableImage(image: relativePath, reason: (error as? Failure)?.message ?? "\(error)")
    }
  }
}

extension [ImageEntry] {
  /// SHA-256 over relative paths and sizes: equal where processes on different hosts see the same files.
  public var fingerprint: String {
    var hash = SHA256()
    for image in self { hash.update("\(image.relativePath)\0\(image.byteCount)\n") }
    return hash.hexDigest()
  }
}

/// A picture of a data set that cannot be used.
public struct UnreadableImage: Sendable, Equatable, Codable {
  /// The path from the root of the data set.
  public let image: String
  public let reason: String
}

/// The pictures to train on, in the order of their relative paths' bytes.
public struct ImageManifest: Sendable, Equatable {
  public let root: String
  public let images: [ImageEntry]
  /// What is left out, in the same order.
  public let unreadable: [UnreadableImage]

  /// The same without some more images.
  public func without(_ others: [UnreadableImage]) -> ImageManifest {
    let names = Set(others.map(\.image))
    let known = Set(unreadable.map(\.image))
    return ImageManifest(
      root: root, images: images.filter { !names.contains($0.relativePath) },
      unreadable: (unreadable + others.filter { !known.contains($0.image) }).sorted {
        precedesInBytes($0.image, $1.image)
      })
  }

  /// Of the pictures to train on.
  public var fingerprint: String { images.fingerprint }

  /// Some of the pictures, each in its place in the order.
  func holding(_ numbers: some Sequence<Int>) -> ImageManifest {
    ImageManifest(root: root, images: numbers.sorted().map { images[$0] }, unreadable: unreadable)
  }

  /// Holds a share of the pictures out of training: which is a matter of the seed and of how many there are.
  /// - Parameter fraction: from 0, for none, to below 1; where it is above 0, at least one picture is held out.
  /// - Throws: `Failure` of `.configuration` where none is left to train on.
  public func holdingOut(_ fraction: Double, seed: UInt64) throws -> (training: ImageManifest, heldOut: ImageManifest) {
    let count = fraction > 0 ? max(Int((fraction * Double(images.count)).rounded()), 1) : 0
    guard count < images.count else {
      throw Failure(
        .configuration, "a share of \(fraction) of \(images.count) images leaves none to train on",
        hint: "choose a smaller --validation-fraction")
    }
    var random = SplitMix64(seed, name: "validation")
    let order = random.shuffled(Array(images.indices))
    return (holding(order[count...]), holding(order[..<count]))
  }
}

/// A picture to test with, and what is known about it.
public struct TestEntry: Sendable, Equatable {
  public let image: ImageEntry
  /// "good", or a kind of defect.
  public let kind: String
  public let isAnomalous: Bool
  /// Where the defect is marked; nil for normal pictures and where there is no such file.
  public let maskPath: String?
}
