import Diagnostics
import FileSystem
import Glibc

/// One-class novelty detection: a class of labelled pictures is normal, all others are anomalous. Written in MVTec's layout, a category for
/// each normal class.
public enum NoveltyDataSet {
  /// Writes `folder/CLASS/train/good`, `test/good` and `test/OTHER` for each class that is to be normal. Files of test pictures are shared between
  /// the categories where the file system has hard links.
  ///
  /// Where the source has no split of its own, every second picture of a class is for training.
  /// - Parameters:
  ///   - normal: the names of the classes; nil for all.
  ///   - limit: how many pictures of a class there are at the most, for training and for testing each.
  ///   - progress: told how many of the categories are written.
  /// - Returns: the categories.
  /// - Throws: `Failure` of `.usage` where the folder holds something already or a class is unknown, of `.badData` where the source is damaged, of
  ///   `.inputOutput`.
  @discardableResult
  public static func write(
    _ source: LabelledPictures, to folder: String, normal: [String]? = nil, limit: Int? = nil,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> [String] {
    let chosen = normal ?? source.classes
    for name in chosen where !source.classes.contains(name) {
      throw Failure(
        .usage, "there is no class \(name)",
        hint: suggestion(for: name, among: source.classes).map { "did you mean \($0)?" }
          ?? "the classes are \(source.classes.joined(separator: ", "))")
    }
    // Names become folders; "good" among the test folders is what is normal.
    for name in source.classes where [DataSet.normalKind, ".", "..", ""].contains(name) || name.contains("/") {
      throw Failure(
        .badData, "a class is called \"\(name)\", which cannot be the name of a kind of anomaly", hint: "rename it")
    }
    try writeFolder(folder) { folder in
      try write(source, of: chosen, limit: limit, into: folder, progress: progress)
    }
    return chosen
  }

  private static func write(
    _ source: LabelledPictures, of chosen: [String], limit: Int?, into folder: String,
    progress: (_ done: Int, _ total: Int) -> Void
  ) throws {
    let parts = split(source, limit: limit)
    var written: [Int: String] = [:]
    func write(_ picture: Int, into part: String) throws {
      let (bytes, ending) = try source.pictures[picture].file()
      // All names have as many digits, so that their order is that of the pictures.
      let zeros = String(repeating: "0", count: "\(source.pictures.count)".count - "\(picture)".count)
      let path = "\(part)/\(zeros)\(picture).\(ending)"
      if let earlier = written[picture], link(earlier, path) == 0 { return }
      try writeFile(path, bytes: bytes)
      written[picture] = path
    }
    for (index, name) in chosen.enumerated() {
      let label = source.classes.firstIndex(of: name) ?? 0
      guard !parts.training[label].isEmpty else {
        throw Failure(.badData, "there is no picture of the class \(name) to train on")
      }
      let root = "\(folder)/\(name)"
      try makeFolder("\(root)/train/good")
      for picture in parts.training[label] { try write(picture, into: "\(root)/train/good") }
      for (other, kind) in source.classes.enumerated() where !parts.test[other].isEmpty {
        let part = "\(root)/test/\(other == label ? DataSet.normalKind : kind)"
        try makeFolder(part)
        for picture in parts.test[other] { try write(picture, into: part) }
      }
      progress(index + 1, chosen.count)
    }
  }

  /// The numbers of the pictures of each class.
  private static func split(_ source: LabelledPictures, limit: Int?) -> (training: [[Int]], test: [[Int]]) {
    var seen = [Int](repeating: 0, count: source.classes.count)
    var (training, test) = (seen.map { _ in [Int]() }, seen.map { _ in [Int]() })
    for (number, picture) in source.pictures.enumerated() {
      let label = picture.label
      if picture.isForTraining ?? (seen[label] % 2 == 0) {
        training[label].append(number)
      } else {
        test[label].append(number)
      }
      seen[label] += 1
    }
    func limited(_ part: [[Int]]) -> [[Int]] { part.map { Array($0.prefix(limit ?? $0.count)) } }
    return (limited(training), limited(test))
  }
}
