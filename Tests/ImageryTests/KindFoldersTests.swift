import Diagnostics
import Foundation
import Testing

@testable import Imagery

@Suite struct KindFoldersTests {
  @Test func trainingPicturesAreSortedByBytes() throws {
    try withTemporaryFolder { folder in
      try lay(
        [
          "tile/train/good/b.png": [1], "tile/train/good/B.JPG": [1, 2], "tile/train/good/10.jpeg": [],
          "tile/train/good/ä.png": [1], "tile/train/good/9.png": [], "tile/train/good/.hidden.png": [],
          "tile/train/good/notes.txt": [], "tile/train/good/png": [], "tile/train/good/deeper/x.png": [],
        ], in: folder)
      let manifest = try DataSet(folder).training(category: "tile")
      #expect(manifest.root == "\(folder)/tile")
      #expect(
        manifest.images.map(\.relativePath)
          == ["10.jpeg", "9.png", "B.JPG", "b.png", "ä.png"].map { "train/good/\($0)" })
      #expect(manifest.images.map(\.byteCount) == [0, 0, 2, 1, 1])
      #expect(manifest.images[3].path == "\(folder)/tile/train/good/b.png")
      #expect(try DataSet("\(folder)/tile").training() == manifest)
    }
  }

  @Test func picturesAreHeldOutByTheSeed() throws {
    let images = (0..<40).map { ImageEntry(path: "/\($0)", relativePath: "\($0)", byteCount: 0) }
    let manifest = ImageManifest(root: "", images: images, unreadable: [])
    let (training, heldOut) = try manifest.holdingOut(0.1, seed: 1)
    #expect(heldOut.images.count == 4 && training.images == images.filter { !heldOut.images.contains($0) })
    #expect(heldOut.images == images.filter(heldOut.images.contains))
    #expect(try manifest.holdingOut(0.1, seed: 1).heldOut == heldOut)
    #expect(try manifest.holdingOut(0.1, seed: 2).heldOut != heldOut)
    #expect(heldOut.images != Array(images.prefix(4)) && heldOut.images != Array(images.suffix(4)))
    #expect(try manifest.holdingOut(0, seed: 1).training == manifest)
    #expect(try manifest.holdingOut(0.001, seed: 1).heldOut.images.count == 1)
    for fraction in [0.99, 0.999] { #expect(throws: Failure.self) { _ = try manifest.holdingOut(fraction, seed: 1) } }
  }

  @Test func theFingerprintIsOfNamesAndSizes() throws {
    func fingerprint(_ files: [String: [UInt8]]) throws -> String {
      var result = ""
      try withTemporaryFolder { folder in
        try lay(files, in: folder)
        result = try DataSet(folder).training().fingerprint
      }
      return result
    }
    let first = try fingerprint(["train/good/1.png": [1, 2], "train/good/2.png": [3]])
    // printf 'train/good/1.png\0002\ntrain/good/2.png\0001\n' | sha256sum
    #expect(first == "82ac7cd394a3c45acae321f77457b31bb0ea86859bcbb1e4883e0cf16406cec5")
    #expect(try fingerprint(["train/good/1.png": [9, 9], "train/good/2.png": [9]]) == first)
    #expect(try fingerprint(["train/good/1.png": [1], "train/good/2.png": [3, 2]]) != first)
    #expect(try fingerprint(["train/good/1.png": [1, 2], "train/good/3.png": [3]]) != first)
  }

  @Test func testPicturesKnowTheirMasks() throws {
    try withTemporaryFolder { folder in
      try lay(
        [
          "test/good/0.png": [], "test/hole/1.png": [], "test/hole/2.JPG": [], "test/hole/3.png": [],
          "test/cut/1.png": [], "test/readme.txt": [], "test/.cache/1.png": [],
          "ground_truth/hole/1_mask.png": [], "ground_truth/hole/2.png": [], "ground_truth/good/0_mask.png": [],
        ], in: folder)
      let entries = try DataSet(folder).test()
      #expect(
        entries.map(\.image.relativePath)
          == ["test/cut/1.png", "test/good/0.png", "test/hole/1.png", "test/hole/2.JPG", "test/hole/3.png"])
      #expect(entries.map(\.kind) == ["cut", "good", "hole", "hole", "hole"])
      #expect(entries.map(\.isAnomalous) == [true, false, true, true, true])
      let truth = "\(folder)/ground_truth/hole"
      #expect(entries.map(\.maskPath) == [nil, nil, "\(truth)/1_mask.png", "\(truth)/2.png", nil])
    }
  }

  @Test func aMissingFolderIsNamed() throws {
    try withTemporaryFolder { folder in
      let missing = failure({ try DataSet("\(folder)/nowhere").training() })
      #expect(missing?.code == .badData)
      #expect(missing?.message == "\(folder)/nowhere: no such folder")

      let layout = failure({ try DataSet(folder).training() })
      #expect(layout?.message == "\(folder): holds no folder train/good")
      #expect(layout?.hint?.contains("MVTec") == true)

      try lay(["carpet/train/good/0.png": [], "grid/train/good/0.png": [], "other/x.txt": []], in: folder)
      #expect(try DataSet(folder).categories() == ["carpet", "grid"])
      #expect(try DataSet(folder).testedCategories().isEmpty)
      let hint = "did you mean --category carpet? There are also grid."
      #expect(failure({ try DataSet(folder).training() })?.hint == hint)
      let category = failure({ try DataSet(folder).training(category: "carpets") })
      #expect(category?.message == "\(folder)/carpets: no such folder")
      #expect(category?.hint == hint)

      let test = failure({ try DataSet(folder).test(category: "carpet") })
      #expect(test?.message == "\(folder)/carpet: holds no folder test")
      let needless = failure({ try DataSet("\(folder)/grid").training(category: "grid") })
      #expect(needless?.hint?.contains("leave the category out") == true)
    }
  }

  @Test func aFolderWithoutPicturesIsNamed() throws {
    try withTemporaryFolder { folder in
      try lay(["train/good/notes.txt": [], "test/hole/notes.txt": []], in: folder)
      let training = failure({ try DataSet(folder).training() })
      #expect(training?.code == .badData)
      #expect(training?.message == "\(folder)/train/good: no pictures")
      #expect(failure({ try DataSet(folder).test() })?.code == .badData)
    }
  }

  @Test func aLinkToNowhereIsNamed() throws {
    try withTemporaryFolder { folder in
      try lay(["train/good/0.png": []], in: folder)
      let link = "\(folder)/train/good/1.png"
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "nowhere")
      let failure = failure({ try DataSet(folder).training() })
      #expect(failure?.code == .inputOutput)
      #expect(failure?.message.hasPrefix("\(link): ") == true)
    }
  }

  /// A folder, a link and a name in the place of pictures: each is named, or all are left out.
  @Test func whatIsNoFileIsNamedOrLeftOut() throws {
    try withTemporaryFolder { folder in
      try lay(["train/good/0.png": [], "train/good/1.png/x.png": []], in: folder)
      let failure = failure({ try DataSet(folder).training() })
      #expect(failure?.code == .badData)
      #expect(failure?.message == "\(folder)/train/good/1.png: a folder that is named as a picture")
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/train/good/2.png", withDestinationPath: "nowhere")
      let name = Array("\(folder)/train/good/3".utf8CString.dropLast()) + [CChar(bitPattern: 0xFF), 0x2E, 0x70, 0]
      #expect(close(creat(name, 0o644)) == 0)
      let manifest = try DataSet(folder).training(skipsUnreadable: true)
      #expect(manifest.images.map(\.relativePath) == ["train/good/0.png"])
      #expect(
        Set(manifest.unreadable.map(\.image)) == ["train/good/1.png", "train/good/2.png", "train/good/3\u{FFFD}.p"])
      let none = manifest.without([UnreadableImage(image: "train/good/0.png", reason: "empty")])
      #expect(none.images.isEmpty && none.unreadable.count == 4 && none.unreadable[0].image == "train/good/0.png")
    }
  }

  @Test func aNameThatIsNotUTF8IsAnErrorAndNoCrash() throws {
    try withTemporaryFolder { folder in
      try lay(["train/good/0.png": []], in: folder)
      let name = Array("\(folder)/train/good/".utf8CString.dropLast()) + [CChar(bitPattern: 0xFF), 0x2E, 0x70, 0]
      #expect(close(creat(name, 0o644)) == 0)
      let failure = failure({ try DataSet(folder).training() })
      #expect(failure?.code == .badData)
      #expect(failure?.message.contains("not UTF-8") == true)
    }
  }
}
