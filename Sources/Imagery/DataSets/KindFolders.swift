import Diagnostics
import FileSystem

/// The layout of MVTec AD, MPDD and BTAD: under a root normal pictures in `train/good`, pictures of each kind in `test/KIND`, and masks in
/// `ground_truth/KIND/STEM_mask.png` (or `STEM.png`). BTAD says `ok` for `good`.
struct KindFolders: Arrangement {
  let root: String
  /// The folder of normal pictures.
  private let normal: String

  /// - Throws: `Failure(.badData)` where the folders of that part are missing.
  init(at folder: String, category: String?, layout: DataSet.Layout?, needing part: DataSet.Part) throws {
    root = category.map { "\(folder)/\($0)" } ?? folder
    normal = Self.normal(at: root, layout)
    if isFolder("\(root)/\(needed(part))") { return }
    let categories = try Self.categories(in: folder, layout: layout, with: .training)
    let hint: String
    if category != nil && isFolder("\(folder)/\(needed(part))") {
      hint = "\(folder) holds \(needed(part)) itself: leave the category out"
    } else if let first = categories.first {
      let others = categories.dropFirst().prefix(5).joined(separator: ", ")
      hint = "did you mean --category \(first)?" + (others.isEmpty ? "" : " There are also \(others).")
    } else if layout == nil {
      hint = """
        looked for \(needed(part)) (MVTec AD, MPDD), train/ok and test/ok (BTAD) and split_csv/1cls.csv (VisA): docs/data.md shows these layouts, and \
        how to name folders or a table of your own
        """
    } else {
      hint = "expected are train/\(normal), test/KIND and ground_truth/KIND"
    }
    throw Failure(
      .badData, isFolder(root) ? "\(root): holds no folder \(needed(part))" : "\(root): no such folder", hint: hint)
  }

  /// The folders that are categories.
  static func categories(in folder: String, layout: DataSet.Layout?, with part: DataSet.Part) throws -> [String] {
    try namesInFolder(folder).filter { name in
      let root = "\(folder)/\(name)"
      return isFolder(part == .training ? "\(root)/train/\(normal(at: root, layout))" : "\(root)/test")
    }
  }

  func pictures(
    of part: DataSet.Part, unusable: (_ name: String, Failure) throws -> Void
  ) throws -> [ListedPicture] {
    func pictures(in folder: String) throws -> [ListedPicture] {
      try picturesInFolder("\(root)/\(folder)", called: folder, unusable: unusable)
    }
    switch part {
    case .training: return try pictures(in: "train/\(normal)")
    case .test:
      return try namesInFolder("\(root)/test").filter { isFolder("\(root)/test/\($0)") }.flatMap { kind in
        try pictures(in: "test/\(kind)").map { picture in
          guard kind != normal else { return picture }
          var picture = picture
          picture.defect = kind
          picture.mask = mask(of: picture, in: "\(root)/ground_truth/\(kind)")
          return picture
        }
      }
    }
  }

  func whereabouts(of part: DataSet.Part) -> String {
    part == .training ? "\(root)/train/\(normal)" : "\(root)/test/*"
  }

  func maskFiles() throws -> [String] { try masksBelow("\(root)/ground_truth") }

  private func needed(_ part: DataSet.Part) -> String { part == .training ? "train/\(normal)" : "test" }

  private static func normal(at root: String, _ layout: DataSet.Layout?) -> String {
    switch layout {
    case .btad: "ok"
    case .some: "good"
    case nil:
      ["good", "ok"].first { isFolder("\(root)/train/\($0)") }
        ?? ["good", "ok"].first { isFolder("\(root)/test/\($0)") } ?? "good"
    }
  }
}
