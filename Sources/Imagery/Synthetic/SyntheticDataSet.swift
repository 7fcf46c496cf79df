import Diagnostics
import FileSystem
import Glibc
import RandomStreams

/// A small data set in MVTec's layout that is made and not downloaded: cloth with natural variation, and four kinds of
/// defect, from plain to subtle, with exact masks. It is for trying the tools out and for tests.
public enum SyntheticDataSet {
  /// The name of the one category.
  public static let category = "surface"

  /// The names of the kinds of defect.
  public static var kinds: [String] { DefectKind.allCases.map(\.rawValue) }

  /// Writes the data set: `folder/surface/train/good`, `test/KIND` and `ground_truth/KIND`.
  ///
  /// The same arguments give the same pictures.
  /// - Parameters:
  ///   - folder: where to; made if missing.
  ///   - imageSize: side of the square pictures, in pixels.
  ///   - kinds: the kinds of defect; nil for all.
  ///   - defectSize: a factor, from 0.25 to 2.
  /// - Throws: `Failure` of `.usage` where the folder holds something already or a number makes no sense, of
  ///   `.inputOutput` where it cannot be written.
  public static func write(
    to folder: String, seed: UInt64, imageSize: Int = 256, trainingCount: Int = 40, goodTestCount: Int = 8,
    defectsPerKind: Int = 6, kinds chosen: [String]? = nil, defectSize: Float = 1
  ) throws {
    for name in chosen ?? [] where !kinds.contains(name) {
      throw Failure(
        .usage, "there is no kind of defect \(name)",
        hint: suggestion(for: name, among: kinds).map { "did you mean \($0)?" }
          ?? "the kinds are \(kinds.joined(separator: ", "))")
    }
    guard (0.25...2).contains(defectSize) else {
      throw Failure(.usage, "defects of \(defectSize) times their size cannot be made", hint: "choose from 0.25 to 2")
    }
    guard (64...4096).contains(imageSize) else {
      throw Failure(.usage, "pictures of \(imageSize) pixels cannot be made", hint: "choose a size from 64 to 4096")
    }
    guard (1...1000).contains(trainingCount), (0...1000).contains(goodTestCount), (0...1000).contains(defectsPerKind)
    else {
      throw Failure(
        .usage,
        "a data set of \(trainingCount) training, \(goodTestCount) normal test and \(defectsPerKind) defective pictures "
          + "a kind cannot be made",
        hint: "at least 1 to train on, at most 1000 of each")
    }
    try makeFolder(folder)
    guard try namesInFolder(folder).isEmpty else {
      throw Failure(.usage, "\(folder): the folder is not empty", hint: "choose another one, or empty it")
    }
    let root = "\(folder)/\(category)"
    func write(_ part: String, count: Int, stream: UInt64, kind: DefectKind? = nil) throws {
      let pictures = "\(root)/\(part)"
      let masks = kind.map { "\(root)/ground_truth/\($0.rawValue)" }
      if count > 0 { try makeFolder(pictures) }
      if count > 0, let masks { try makeFolder(masks) }
      for number in 0..<count {
        var random = SplitMix64(seed, stream, UInt64(number))
        let cloth = WovenCloth(random: &random)
        let defect = kind.map { Defect($0, scale: defectSize, random: &random) }
        let (picture, mask) = cloth.photograph(size: imageSize, defect: defect)
        let name = "\(1000 + number)".dropFirst()
        if let mask, let masks { try mask.writePNG(to: "\(masks)/\(name)_mask.png") }
        try picture.writePNG(to: "\(pictures)/\(name).png")
      }
    }
    try write("train/good", count: trainingCount, stream: 0)
    try write("test/good", count: goodTestCount, stream: 1)
    for (index, kind) in DefectKind.allCases.enumerated() where chosen?.contains(kind.rawValue) ?? true {
      try write("test/\(kind.rawValue)", count: defectsPerKind, stream: 2 + UInt64(index), kind: kind)
    }
  }
}
