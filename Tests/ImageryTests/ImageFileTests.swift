import Foundation
import Testing

@testable import Imagery

@Suite struct ImageFileTests {
  static let kinds: [String] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(fixtures)/codecs")) ?? []
    return names.filter(ImageFile.isPicture).sorted()
  }()

  /// Width and height as 32-bit little-endian integers, then samples.
  private func expected(_ kind: String, _ suffix: String, channels: Int) throws -> Raster {
    let content = try bytes(of: "\(fixtures)/codecs/\(kind.prefix { $0 != "." }).\(suffix)")
    return Raster(
      width: Int(content[0]), height: Int(content[4]), channels: channels, pixels: Array(content.dropFirst(8)))
  }

  @Test func allKindsHaveFixtures() { #expect(Self.kinds.count == 98) }

  @Test(arguments: kinds) func readsWhatPillowReads(_ kind: String) throws {
    let path = "\(fixtures)/codecs/\(kind)"
    #expect(try ImageFile.decode(path) == expected(kind, "rgb", channels: 3))
    // A grey JPEG or PNG is its own luma; everything else goes through color as in Pillow.
    #expect(try ImageFile.decodeMask(path) == expected(kind, "grey", channels: 1))
  }

  @Test(arguments: kinds) func everyCutIsAnError(_ kind: String) throws {
    let content = try bytes(of: "\(fixtures)/codecs/\(kind)")
    let whole = try ImageFile.picture(from: content, named: kind)
    for count in content.indices {
      let cut = Array(content.prefix(count))
      // A TIFF file may end with what does not touch the pixels, such as its resolution.
      if kind.hasSuffix(".tif"), let read = try? ImageFile.picture(from: cut, named: "cut") {
        let isWhole = read == whole
        #expect(isWhole, "\(count) of \(content.count) bytes")
        continue
      }
      let failure = failure({ try ImageFile.picture(from: cut, named: "cut.png") })
      #expect(failure?.code == .badData)
      #expect(failure?.message.hasPrefix("cut.png: ") == true)
    }
  }

  @Test(arguments: kinds) func flippedBitsNeverCrash(_ kind: String) throws {
    let content = try bytes(of: "\(fixtures)/codecs/\(kind)")
    for index in content.indices {
      var damaged = content
      damaged[index] ^= 1 << (index % 8)
      _ = try? ImageFile.picture(from: damaged, named: "damaged.png")
    }
  }

  @Test func whatIsNoPictureIsNamed() throws {
    try withTemporaryFolder { folder in
      try lay(["text.png": Array("not a picture\n".utf8), "empty.png": []], in: folder)
      try FileManager.default.createDirectory(atPath: "\(folder)/folder.png", withIntermediateDirectories: false)
      for (name, reason) in [
        ("text.png", "not a picture in PNG, JPEG"), ("empty.png", "empty"), ("missing.png", "No such file"),
        ("folder.png", "not a file"),
      ] {
        let failure = failure({ try ImageFile.decode("\(folder)/\(name)") })
        #expect(failure?.code == .badData)
        #expect(failure?.message.hasPrefix("\(folder)/\(name): ") == true)
        #expect(failure?.message.contains(reason) == true)
      }
    }
  }

  /// Makes width and height of a little-endian TIFF file other 32-bit numbers.
  private func setSides(ofTIFF tiff: inout [UInt8], to side: UInt32) throws {
    for tag: [UInt8] in [[0x00, 0x01], [0x01, 0x01]] {
      let entry = try #require((0..<tiff.count - 12).first { Array(tiff[$0..<$0 + 2]) == tag && tiff[$0 + 2] < 5 })
      let bytes = (0..<4).map { UInt8(truncatingIfNeeded: side >> (8 * $0)) }
      tiff.replaceSubrange(entry + 2..<entry + 12, with: [4, 0, 1, 0, 0, 0] + bytes)
    }
  }

  @Test func hugePicturesAreRefusedBeforeMemoryIsTaken() throws {
    // The header of a PNG of 100,000 x 100,000 pixels with its check sum; no pixels follow.
    let png: [UInt8] = [
      0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52,
      0, 1, 0x86, 0xA0, 0, 1, 0x86, 0xA0, 8, 2, 0, 0, 0, 0x27, 0x30, 0x9C, 0x9F,
      0, 0, 0, 0, 0x49, 0x44, 0x41, 0x54, 0x35, 0xAF, 0x06, 0x1E,
    ]
    var jpeg = try bytes(of: "\(fixtures)/codecs/jpeg-color444.jpg")
    let frame = try #require(jpeg.indices.first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
    jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0xFF, 0x00, 0xFF, 0x00])
    try withTemporaryFolder { folder in
      var tiff = try bytes(of: "\(fixtures)/codecs/tiff-grey16.tif")
      try setSides(ofTIFF: &tiff, to: 1 << 16)
      var bitmap = try bytes(of: "\(fixtures)/codecs/bmp-rgb24.bmp")
      bitmap.replaceSubrange(18..<26, with: [0, 0, 1, 0, 0, 0, 1, 0])
      try lay(["huge.png": png, "huge.jpg": jpeg, "huge.tif": tiff, "huge.bmp": bitmap], in: folder)
      for name in ["huge.png", "huge.jpg", "huge.tif", "huge.bmp"] {
        #expect(failure({ try ImageFile.decode("\(folder)/\(name)") })?.message.contains("too large") == true)
      }
    }
  }

  /// A TIFF file of few bytes that says that it has 2^26 pixels, which is not too large for a picture.
  @Test func picturesOfMorePixelsThanTheirBytesCanHoldAreRefused() throws {
    var tiff = try bytes(of: "\(fixtures)/codecs/tiff-grey16.tif")
    try setSides(ofTIFF: &tiff, to: 1 << 13)
    let failure = failure({ try ImageFile.picture(from: tiff, named: "bomb.tif") })
    #expect(failure?.code == .badData && failure?.message.contains("more pixels than its bytes can hold") == true)
  }

  @Test func namesDoNotDecideTheKind() throws {
    try withTemporaryFolder { folder in
      try lay(["picture.png": bytes(of: "\(fixtures)/codecs/jpeg-grey.jpg")], in: folder)
      let kind = "jpeg-grey.jpg"
      #expect(try ImageFile.decode("\(folder)/picture.png") == expected(kind, "rgb", channels: 3))
    }
  }

  @Test(arguments: [1, 3]) func whatIsWrittenIsReadBack(_ channels: Int) throws {
    let pixels = (0..<31 * 12 * channels).map { UInt8(truncatingIfNeeded: $0 * $0 / 7) }
    let raster = Raster(width: 31, height: 12, channels: channels, pixels: pixels)
    try withTemporaryFolder { folder in
      try raster.writePNG(to: "\(folder)/picture.png")
      let path = "\(folder)/picture.png"
      #expect(try (channels == 1 ? ImageFile.decodeMask(path) : ImageFile.decode(path)) == raster)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["picture.png"])
      let failure = failure({ try raster.writePNG(to: "\(folder)/missing/picture.png") })
      #expect(failure?.code == .inputOutput)
    }
  }
}

@Suite struct JPEGWritingTests {
  @Test(arguments: [1, 3])
  func whatIsWrittenIsNearlyReadBack(channels: Int) throws {
    let (width, height) = (33, 21)
    var pixels: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width {
        for channel in 0..<channels {
          let level = 7 * x + (3 + channel) * y
          pixels.append(UInt8(level % 256 / 2 + 60))
        }
      }
    }
    let picture = Raster(width: width, height: height, channels: channels, pixels: pixels)
    let bytes = try picture.encodedJPEG(quality: 95)
    let read = try ImageFile.picture(from: bytes, named: "picture")
    #expect((read.width, read.height, read.channels) == (width, height, channels))
    let errors = zip(read.pixels, pixels).map { (read, written) -> Int in abs(Int(read) - Int(written)) }
    #expect(errors.reduce(0, +) < 4 * pixels.count)
    #expect(try picture.encodedJPEG(quality: 30).count < bytes.count)
  }
}
