import Diagnostics
import FileSystem
import Foundation
import RandomStreams
import Testing

@testable import Imagery

@Suite struct SyntheticDataSetTests {
  /// Relative path and SHA-256 of every file under a folder.
  private func contents(of folder: String) throws -> [String: String] {
    var files: [String: String] = [:]
    for case let name as String in FileManager.default.enumerator(atPath: folder) ?? .init() {
      let path = "\(folder)/\(name)"
      if fileSize(path) != nil { files[name] = try SHA256.hexDigest(of: bytes(of: path)) }
    }
    return files
  }

  private func writeSmall(to folder: String, seed: UInt64) throws {
    try SyntheticDataSet.write(
      to: folder, seed: seed, imageSize: 64, trainingCount: 3, goodTestCount: 2, defectsPerKind: 2)
  }

  @Test func theSeedDecidesEveryByte() throws {
    try withTemporaryFolder { folder in
      try writeSmall(to: "\(folder)/deep/a", seed: 5)
      try writeSmall(to: "\(folder)/b", seed: 5)
      try writeSmall(to: "\(folder)/c", seed: 6)
      let (a, b, c) = try (contents(of: "\(folder)/deep/a"), contents(of: "\(folder)/b"), contents(of: "\(folder)/c"))
      #expect(a.count == 3 + 2 + 4 * 2 * 2)
      #expect(a == b)
      #expect(a.keys.sorted() == c.keys.sorted())
      #expect(a.allSatisfy { c[$0.key] != $0.value })
      #expect(Set(a.values).count == a.count)
    }
  }

  @Test func itHasTheLayoutOfMVTec() throws {
    try withTemporaryFolder { folder in
      try writeSmall(to: folder, seed: 1)
      #expect(try DataSet(folder).categories() == ["surface"])
      #expect(try DataSet(folder).training(category: "surface").images.count == 3)
      let entries = try DataSet(folder).test(category: "surface")
      #expect(Set(entries.map(\.kind)) == ["good", "hole", "missing_thread", "scratch", "stain"])
      #expect(entries.count == 10 && entries.filter(\.isAnomalous).count == 8)
      for entry in entries {
        let picture = try ImageFile.decode(entry.image.path)
        #expect(picture.width == 64 && picture.height == 64)
        #expect((entry.maskPath != nil) == entry.isAnomalous)
        if let maskPath = entry.maskPath {
          let mask = try ImageFile.decodeMask(maskPath)
          #expect(mask.width == 64 && mask.height == 64)
          #expect(Set(mask.pixels) == [0, 255])
        }
      }
    }
  }

  @Test(arguments: DefectKind.allCases) func theMaskIsWhereThePictureChanges(_ kind: DefectKind) throws {
    let size = 128
    for seed in 0..<6 as Range<UInt64> {
      var random = SplitMix64(seed)
      let cloth = WovenCloth(random: &random)
      let defect = Defect(kind, random: &random)
      let (whole, none) = cloth.photograph(size: size)
      let (damaged, some) = cloth.photograph(size: size, defect: defect)
      #expect(none == nil)
      let mask = try #require(some).binaryMask()
      let change = (0..<size * size).map { pixel in
        (3 * pixel..<3 * pixel + 3).map { abs(Int(whole.pixels[$0]) - Int(damaged.pixels[$0])) }.max() ?? 0
      }
      let marked = mask.count { $0 }
      let hit = zip(mask, change).count { $0 && $1 > 0 }
      #expect(Double(hit) > 0.7 * Double(marked), "\(hit) of \(marked) marked pixels change, seed \(seed)")
      // Light and the camera's blur reach a little further.
      let near = Raster(width: size, height: size, channels: 1, pixels: mask.map { $0 ? 255 : 0 }).grown(by: 3)
      let far = zip(near.pixels, change).map { $0 == 0 ? $1 : 0 }.max() ?? 0
      #expect(far <= 6, "a change of \(far) far from the mask, seed \(seed)")
    }
  }

  @Test(arguments: DefectKind.allCases) func noMaskIsEmptyOrHuge(_ kind: DefectKind) throws {
    for seed in 0..<40 as Range<UInt64> {
      var random = SplitMix64(seed, 99)
      let cloth = WovenCloth(random: &random)
      let mask = try #require(cloth.photograph(size: 64, defect: Defect(kind, random: &random)).mask)
      #expect((3...600).contains(mask.binaryMask().count { $0 }), "seed \(seed)")
    }
  }

  @Test func whatCannotBeIsRefused() throws {
    try withTemporaryFolder { folder in
      try lay(["other/mine.txt": [1]], in: folder)
      let taken = failure({ try writeSmall(to: folder, seed: 1) })
      #expect(taken?.code == .usage)
      #expect(taken?.message == "\(folder): the folder is not empty")
      #expect(try contents(of: folder).keys.sorted() == ["other/mine.txt"])
      #expect(failure({ try writeSmall(to: "\(folder)/other/mine.txt", seed: 1) }) != nil)
      let new = "\(folder)/new"
      #expect(failure({ try SyntheticDataSet.write(to: new, seed: 1, imageSize: 0) })?.code == .usage)
      #expect(failure({ try SyntheticDataSet.write(to: new, seed: 1, trainingCount: 0) })?.code == .usage)
      #expect(failure({ try SyntheticDataSet.write(to: new, seed: 1, defectsPerKind: -1) })?.code == .usage)
      #expect(!isFolder(new))
    }
  }

  @Test func kindsAndSizesOfDefectsAreChosen() throws {
    try withTemporaryFolder { folder in
      func area(size: Float, to name: String) throws -> Int {
        try SyntheticDataSet.write(
          to: "\(folder)/\(name)", seed: 5, imageSize: 64, trainingCount: 1, goodTestCount: 0, defectsPerKind: 2,
          kinds: ["stain", "hole"], defectSize: size)
        let entries = try DataSet("\(folder)/\(name)").test(category: "surface")
        #expect(entries.map(\.kind) == ["hole", "hole", "stain", "stain"])
        return try entries.compactMap(\.maskPath).reduce(0) {
          try $0 + ImageFile.decodeMask($1).binaryMask().count { $0 }
        }
      }
      let (small, usual, large) = try (area(size: 0.5, to: "s"), area(size: 1, to: "m"), area(size: 2, to: "l"))
      #expect(0 < small && 2 * small < usual && 2 * usual < large)
      for (kinds, size) in [(["holes"], Float(1)), (["hole"], 0), (["hole"], 3)] {
        let failure = failure({
          try SyntheticDataSet.write(to: "\(folder)/x", seed: 1, kinds: kinds, defectSize: size)
        })
        #expect(failure?.code == .usage)
      }
      let all = SyntheticDataSet.kinds
      try SyntheticDataSet.write(
        to: "\(folder)/all", seed: 5, imageSize: 64, trainingCount: 1, goodTestCount: 0, defectsPerKind: 2, kinds: all)
      let stain = "surface/test/stain/001.png"
      #expect(try bytes(of: "\(folder)/all/\(stain)") == bytes(of: "\(folder)/m/\(stain)"))
    }
  }
}

extension Raster {
  /// A grey picture with each pixel the brightest within a distance along rows and columns.
  fileprivate func grown(by distance: Int) -> Raster {
    var result = self
    for y in 0..<height {
      for x in 0..<width {
        let rows = max(y - distance, 0)...min(y + distance, height - 1)
        let columns = max(x - distance, 0)...min(x + distance, width - 1)
        result.pixels[y * width + x] =
          rows.map { row in columns.map { pixels[row * width + $0] }.max() ?? 0 }.max() ?? 0
      }
    }
    return result
  }
}
