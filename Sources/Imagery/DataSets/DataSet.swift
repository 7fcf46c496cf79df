import Diagnostics
import FileSystem

/// A data set for anomaly detection, in whatever way its files are arranged: lists of labelled pictures, normal ones to train on, and normal and
/// anomalous ones to test with.
public struct DataSet: Sendable, Equatable {
  /// How the files lie.
  public enum Layout: String, CaseIterable, Sendable {
    /// `train/good`, `test/KIND`, `ground_truth/KIND`.
    case mvtec, mpdd
    /// `train/ok`, `test/ok`, `test/ko`, `ground_truth/ko`.
    case btad
    /// `split_csv/1cls.csv` names the pictures of all categories.
    case visa
    /// A table of the pictures.
    case csv
  }

  /// What the pictures are for.
  enum Part: Sendable { case training, test }

  private enum Place: Sendable, Equatable {
    case path(String, Layout?)
    case plain(PlainFolders)
  }

  /// How all normal pictures are called.
  static let normalKind = "good"

  private let place: Place

  /// - Parameters:
  ///   - path: a folder, or the file of a table.
  ///   - layout: nil to find it out.
  public init(_ path: String, layout: Layout? = nil) { place = .path(path, layout) }

  /// Folders of pictures.
  ///
  /// Where there are anomalous pictures to test with, every fifth of the normal ones is for testing; otherwise all are to train on.
  /// - Parameters:
  ///   - anomalous: pictures, or a folder of pictures for each kind of defect.
  ///   - masks: files of the pictures' names, in folders of the kinds where there are such.
  public init(normal: String, anomalous: String? = nil, masks: String? = nil) {
    place = .plain(PlainFolders(normal: normal, anomalous: anomalous, masks: masks))
  }

  /// The normal pictures to train on.
  /// - Parameters:
  ///   - category: the part of the data set, where it has several.
  ///   - skipsUnreadable: whether names that lead to no file, and such as nothing can be opened by, are left out.
  /// - Throws: `Failure` of `.badData` where what the layout needs is missing or there is no picture, of `.inputOutput` where it
  ///   cannot be read.
  public func training(category: String? = nil, skipsUnreadable: Bool = false) throws -> ImageManifest {
    let arrangement = try arrangement(of: category, for: .training)
    var unreadable: [UnreadableImage] = []
    let images = try entries(.training, in: arrangement) { name, failure in
      guard skipsUnreadable else { throw failure }
      unreadable.append(UnreadableImage(image: name, reason: failure.message))
    }.map(\.image)
    return ImageManifest(root: arrangement.root, images: images, unreadable: unreadable)
  }

  /// The pictures to test with, normal and anomalous, ordered as a manifest is. Throws as `training` does.
  public func test(category: String? = nil) throws -> [TestEntry] {
    try entries(.test, in: arrangement(of: category, for: .test)) { throw $1 }
  }

  /// The categories that can be trained on. Throws as `training` does.
  public func categories() throws -> [String] { try categories(with: .training) }

  /// The categories that can be tested. Throws as `training` does.
  public func testedCategories() throws -> [String] { try categories(with: .test) }

  /// The files of masks of a category, whether or not a picture has them; none where a table says which there are.
  func masks(category: String?) throws -> [String] { try arrangement(of: category, for: .test).maskFiles() }

  private func entries(
    _ part: Part, in arrangement: any Arrangement, unusable: (_ name: String, Failure) throws -> Void
  ) throws -> [TestEntry] {
    let entries = try arrangement.pictures(of: part, unusable: unusable).compactMap { picture -> TestEntry? in
      if isFolder(picture.path) {
        try unusable(
          picture.name, Failure(.badData, "\(picture.path): a folder that is named as a picture", hint: "rename it"))
        return nil
      }
      guard let byteCount = fileSize(picture.path) else {
        let reason = "\(picture.path): not a file that can be read"
        try unusable(picture.name, Failure(.inputOutput, reason, hint: "is it a link that leads nowhere?"))
        return nil
      }
      return TestEntry(
        image: ImageEntry(path: picture.path, relativePath: picture.name, byteCount: byteCount),
        kind: picture.defect ?? Self.normalKind, isAnomalous: picture.defect != nil, maskPath: picture.mask)
    }
    guard !entries.isEmpty else {
      throw Failure(
        .badData, "\(arrangement.whereabouts(of: part)): no pictures",
        hint: "pictures are files that end in .\(ImageFile.extensions.joined(separator: ", ."))")
    }
    return entries.sorted { precedesInBytes($0.image.relativePath, $1.image.relativePath) }
  }

  // MARK: Layouts

  private func arrangement(of category: String?, for part: Part) throws -> any Arrangement {
    switch place {
    case .plain(let folders):
      guard category == nil else {
        throw Failure(.usage, "--normal and --category: a folder of pictures has no categories")
      }
      return folders
    case .path(let path, let layout):
      if let table = try table(path, layout) { return try table.part(category: category) }
      return try KindFolders(at: path, category: category, layout: layout, needing: part)
    }
  }

  private func categories(with part: Part) throws -> [String] {
    switch place {
    case .plain: return []
    case .path(let path, let layout):
      if let table = try table(path, layout) { return table.categories(with: part) }
      return try KindFolders.categories(in: path, layout: layout, with: part)
    }
  }

  private func table(_ path: String, _ layout: Layout?) throws -> PictureTable? {
    let visa = "\(path)/split_csv/1cls.csv"
    switch layout {
    case .visa: return try PictureTable(visa, root: path, columns: .visa)
    case .csv: return try PictureTable(path, root: folder(of: path), columns: .manifest)
    case .mvtec, .mpdd, .btad: return nil
    case nil where isFile(path): return try PictureTable(path, root: folder(of: path), columns: .manifest)
    case nil where isFile(visa): return try PictureTable(visa, root: path, columns: .visa)
    case nil: return nil
    }
  }
}

/// A picture, as a layout has it. Nobody has looked for the file yet.
struct ListedPicture {
  let path: String
  /// What it is called in the data set: the same on every host.
  let name: String
  /// The kind of its defect; nil for normal pictures.
  var defect: String?
  /// The file that says where the defect is.
  var mask: String?
}

/// What a layout makes of a data set's files, or of one category's.
protocol Arrangement {
  var root: String { get }

  /// - Parameter unusable: is given the names by which nothing can be opened, and may throw what it is given.
  func pictures(
    of part: DataSet.Part, unusable: (_ name: String, Failure) throws -> Void
  ) throws -> [ListedPicture]

  /// Where pictures are expected, in words.
  func whereabouts(of part: DataSet.Part) -> String

  func maskFiles() throws -> [String]
}

/// The pictures that lie in a folder.
/// - Parameter name: what the folder is called in the data set.
func picturesInFolder(
  _ folder: String, called name: String, unusable: (_ name: String, Failure) throws -> Void
) throws -> [ListedPicture] {
  try namesInFolder(folder) { try unusable("\(name)/\($0)", $1) }.filter(ImageFile.isPicture).map {
    ListedPicture(path: "\(folder)/\($0)", name: "\(name)/\($0)")
  }
}

/// The mask of a picture among those of a folder: of its name, with or without `_mask`, in any of the formats.
func mask(of picture: ListedPicture, in folder: String) -> String? {
  let file = picture.path.split(separator: "/").last ?? ""
  let stem = file.prefix(upTo: file.lastIndex(of: ".") ?? file.endIndex)
  return ImageFile.extensions.lazy.flatMap { ["\(folder)/\(stem)_mask.\($0)", "\(folder)/\(stem).\($0)"] }.first(
    where: isFile)
}

/// The pictures in a folder of masks and in the folders in it.
func masksBelow(_ folder: String) throws -> [String] {
  guard isFolder(folder) else { return [] }
  return try namesInFolder(folder).flatMap { name in
    let path = "\(folder)/\(name)"
    guard isFolder(path) else { return ImageFile.isPicture(name) ? [path] : [] }
    return try namesInFolder(path).filter(ImageFile.isPicture).map { "\(path)/\($0)" }
  }
}
