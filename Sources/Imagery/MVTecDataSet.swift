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

  /// SHA-256 over relative paths and sizes: equal where processes on different hosts see the same files.
  public var fingerprint: String {
    var hash = SHA256()
    for image in images { hash.update("\(image.relativePath)\0\(image.byteCount)\n") }
    return hash.hexDigest()
  }

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
  /// The name of its folder: "good" or a kind of defect.
  public let kind: String
  /// Where the defect is marked; nil for normal pictures and where there is no such file.
  public let maskPath: String?

  public var isAnomalous: Bool { kind != MVTecDataSet.normalKind }
}

/// The layout of MVTec AD: under a root (`folder/category`, or `folder` itself) normal pictures in `train/good`, pictures
/// of each kind in `test/KIND`, and masks in `ground_truth/KIND/STEM_mask.png` (or `STEM.png`).
///
/// Pictures are PNG and JPEG by their extensions; hidden files and everything else are passed over.
public enum MVTecDataSet {
  static let normalKind = "good"

  /// The normal pictures of `train/good`.
  /// - Parameter skipsUnreadable: whether names that lead to no file, and such as nothing can be opened by, are left out.
  /// - Throws: `Failure` of `.badData` where the folder is missing or holds no picture, of `.inputOutput` where it
  ///   cannot be read.
  public static func training(
    at folder: String, category: String? = nil, skipsUnreadable: Bool = false
  ) throws -> ImageManifest {
    let root = try root(at: folder, category: category, needing: "train/good")
    var unreadable: [UnreadableImage] = []
    let images = try images(in: "train/good", of: root) { name, failure in
      guard skipsUnreadable else { throw failure }
      unreadable.append(UnreadableImage(image: "train/good/\(name)", reason: failure.message))
    }
    guard !images.isEmpty else { throw noPictures(in: "\(root)/train/good") }
    return ImageManifest(root: root, images: images, unreadable: unreadable)
  }

  /// The pictures of `test`, normal and defective, ordered as a manifest is. Throws as `training` does.
  public static func test(at folder: String, category: String? = nil) throws -> [TestEntry] {
    let root = try root(at: folder, category: category, needing: "test")
    let entries = try namesInFolder("\(root)/test").filter { isFolder("\(root)/test/\($0)") }.flatMap { kind in
      try images(in: "test/\(kind)", of: root).map { image in
        TestEntry(
          image: image, kind: kind, maskPath: kind == normalKind ? nil : mask(of: image, kind: kind, root: root))
      }
    }
    guard !entries.isEmpty else { throw noPictures(in: "\(root)/test/*") }
    return entries.sorted { precedesInBytes($0.image.relativePath, $1.image.relativePath) }
  }

  /// The categories of a folder: those of its folders that hold `train/good`.
  /// - Throws: `Failure` as `training` does.
  public static func categories(in folder: String) throws -> [String] {
    try namesInFolder(folder).filter { isFolder("\(folder)/\($0)/train/good") }
  }

  /// The categories of a folder that can be tested: those of its folders that hold `test`.
  /// - Throws: `Failure` as `training` does.
  public static func testedCategories(in folder: String) throws -> [String] {
    try namesInFolder(folder).filter { isFolder("\(folder)/\($0)/test") }
  }

  private static func root(at folder: String, category: String?, needing part: String) throws -> String {
    let root = category.map { "\(folder)/\($0)" } ?? folder
    if isFolder("\(root)/\(part)") { return root }
    let categories = try categories(in: folder)
    let hint: String
    if category != nil && isFolder("\(folder)/\(part)") {
      hint = "\(folder) holds \(part) itself: leave the category out"
    } else if let first = categories.first {
      let others = categories.dropFirst().prefix(5).joined(separator: ", ")
      hint = "did you mean --category \(first)?" + (others.isEmpty ? "" : " There are also \(others).")
    } else {
      hint = "expected is the layout of MVTec AD: train/good, test/KIND and ground_truth/KIND"
    }
    throw Failure(.badData, isFolder(root) ? "\(root): holds no folder \(part)" : "\(root): no such folder", hint: hint)
  }

  /// - Parameter unusable: is given what is named as a picture and is no file.
  private static func images(
    in part: String, of root: String, unusable: (_ name: String, Failure) throws -> Void = { throw $1 }
  ) throws -> [ImageEntry] {
    try namesInFolder("\(root)/\(part)", unusable: unusable).compactMap { name in
      guard isPicture(name) else { return nil }
      let path = "\(root)/\(part)/\(name)"
      if isFolder(path) {
        try unusable(name, Failure(.badData, "\(path): a folder that is named as a picture", hint: "rename it"))
        return nil
      }
      guard let byteCount = fileSize(path) else {
        try unusable(
          name, Failure(.inputOutput, "\(path): not a file that can be read", hint: "is it a link that leads nowhere?"))
        return nil
      }
      return ImageEntry(path: path, relativePath: "\(part)/\(name)", byteCount: byteCount)
    }
  }

  private static func mask(of image: ImageEntry, kind: String, root: String) -> String? {
    let name = image.relativePath.split(separator: "/").last ?? ""
    let stem = name.prefix(upTo: name.lastIndex(of: ".") ?? name.endIndex)
    return ["\(stem)_mask.png", "\(stem).png"].map { "\(root)/ground_truth/\(kind)/\($0)" }.first {
      fileSize($0) != nil
    }
  }

  private static func noPictures(in place: String) -> Failure {
    Failure(.badData, "\(place): no pictures", hint: "pictures are files that end in .png, .jpg or .jpeg")
  }

  /// Whether a file of this name is taken for a picture.
  public static func isPicture(_ name: String) -> Bool {
    guard let point = name.lastIndex(of: ".") else { return false }
    return extensions.contains(name[point...].lowercased())
  }

  private static let extensions: Set<String> = [".png", ".jpg", ".jpeg"]
}
