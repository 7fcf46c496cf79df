import Diagnostics
import FileSystem

/// Folders of pictures without any structure of a data set.
struct PlainFolders: Arrangement, Sendable, Equatable {
  let normal: String
  let anomalous: String?
  let masks: String?
  var root: String { normal }

  /// Of so many normal pictures one is for testing.
  private static let testedOfNormal = 5

  func pictures(
    of part: DataSet.Part, unusable: (_ name: String, Failure) throws -> Void
  ) throws -> [ListedPicture] {
    let all = try picturesInFolder(normal, called: "normal", unusable: unusable)
    guard let anomalous else {
      guard part == .training else {
        throw Failure(
          .usage, "there are no anomalous pictures to test with", hint: "name their folder: --anomalous DIR")
      }
      return all
    }
    let chosen = all.enumerated().filter { number, _ in
      (number % Self.testedOfNormal == Self.testedOfNormal - 1) == (part == .test)
    }.map(\.element)
    return part == .training ? chosen : try chosen + defective(in: anomalous, unusable: unusable)
  }

  /// Those of the folder, and those of the folders in it, which then are the kinds of defects.
  private func defective(
    in folder: String, unusable: (_ name: String, Failure) throws -> Void
  ) throws -> [ListedPicture] {
    func pictures(_ path: String, called name: String, kind: String, masks: String?) throws -> [ListedPicture] {
      try picturesInFolder(path, called: name, unusable: unusable).filter { !isFolder($0.path) }.map {
        var picture = $0
        picture.defect = kind
        picture.mask = masks.flatMap { mask(of: picture, in: $0) }
        return picture
      }
    }
    let name = "anomalous"
    return try pictures(folder, called: name, kind: name, masks: masks)
      + namesInFolder(folder).filter { isFolder("\(folder)/\($0)") }.flatMap { kind in
        try pictures("\(folder)/\(kind)", called: "\(name)/\(kind)", kind: kind, masks: masks.map { "\($0)/\(kind)" })
      }
  }

  func whereabouts(of part: DataSet.Part) -> String {
    part == .training ? normal : ([normal, anomalous].compactMap(\.self)).joined(separator: ", ")
  }

  func maskFiles() throws -> [String] { try masks.map(masksBelow) ?? [] }
}
