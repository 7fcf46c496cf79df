import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Imagery

/// Files of all kinds that lie in folders of pictures: read, or named with what is wrong, and nothing else.
@Suite struct BadPictureTests {
  @Test func everyFileIsReadOrNamed() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(fixtures)/codecs").filter {
      $0.hasSuffix(".jpg")
    }
    let jpegs = try Dictionary(uniqueKeysWithValues: names.map { ($0, try bytes(of: "\(fixtures)/codecs/\($0)")) })
    let pictures = BadPictures(seed: 1, jpegs: jpegs)
    #expect(pictures.files.count >= 300 && pictures.kinds.count >= 40)
    try withTemporaryFolder { folder in
      var refused = 0
      for (number, file) in pictures.files.enumerated() {
        let name = "\(folder)/\(number) \(file.kind).png"
        try Data(file.bytes).write(to: URL(fileURLWithPath: name))
        // Without the bytes, which a failed expectation would show.
        let (began, isReadable) = (ContinuousClock.now, file.isReadable)
        do {
          _ = try ImageFile.decode(name)
          #expect(isReadable, "\(number) \(file.kind)")
        } catch let failure as Failure {
          refused += 1
          #expect(!isReadable && failure.code == .badData, "\(number) \(failure)")
          #expect(failure.message.hasPrefix("\(name): ") && failure.message.count > name.count + 10)
        }
        #expect(ContinuousClock.now - began < .seconds(5), "\(number) \(file.kind)")
      }
      Thoroughness.report(
        "\(pictures.files.count) picture files of \(pictures.kinds.count) kinds: \(refused) refused by name")
    }
  }

  /// What is no file at all, and what would never end.
  @Test func everyNameIsReadOrNamed() throws {
    try withTemporaryFolder { folder in
      let good = "\(folder)/good.png"
      try Data(PNG(width: 3, height: 2).bytes).write(to: URL(fileURLWithPath: good))
      let manager = FileManager.default
      try manager.createDirectory(atPath: "\(folder)/folder.png", withIntermediateDirectories: false)
      #expect(mkfifo("\(folder)/pipe.png", 0o644) == 0)
      for (name, target) in [
        ("nowhere.png", "gone"), ("circle.png", "circle.png"), ("endless.png", "/dev/zero"),
        ("device.png", "/dev/null"),
        ("folder link.png", "folder.png"), ("deep.png", "good.png/inside"),
      ] {
        try manager.createSymbolicLink(atPath: "\(folder)/\(name)", withDestinationPath: target)
      }
      for name in try manager.contentsOfDirectory(atPath: folder) where name != "good.png" {
        let failure = failure({ try ImageFile.decode("\(folder)/\(name)") })
        #expect(failure?.message.hasPrefix("\(folder)/\(name): ") == true, "\(name)")
      }
      let names = [
        "ümlaut ß.png", "two\nlines.png", "'quoted' \"twice\".png", "-n.png",
        String(repeating: "x", count: 250) + ".png",
      ]
      for name in names {
        try manager.copyItem(atPath: good, toPath: "\(folder)/\(name)")
        #expect(try ImageFile.decode("\(folder)/\(name)").width == 3)
      }
    }
  }
}
