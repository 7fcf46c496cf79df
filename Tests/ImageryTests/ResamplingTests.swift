import Diagnostics
import Foundation
import Testing

@testable import Imagery

@Suite struct ResamplingTests {
  /// "photo.32x32.raw" and the like.
  static let cases: [String] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "\(fixtures)/resize")) ?? []
    return names.filter { $0.hasSuffix(".raw") }.sorted()
  }()

  @Test func allCasesHaveFixtures() { #expect(Self.cases.count == 19) }

  @Test(arguments: cases) func resizesAsPillowDoes(_ name: String) throws {
    let parts = name.split(separator: ".")
    let size = parts[1].split(separator: "x").compactMap { Int($0) }
    let path = "\(fixtures)/resize/\(parts[0]).png"
    let isGrey = parts[0] == "mask" || parts[0] == "edge"
    let source = try isGrey ? ImageFile.decodeMask(path) : ImageFile.decode(path)
    let resized = source.resized(width: size[0], height: size[1])
    #expect(resized.width == size[0] && resized.height == size[1] && resized.channels == source.channels)
    #expect(try resized.pixels == bytes(of: "\(fixtures)/resize/\(name)"))
  }

  @Test func aLargePictureIsResizedAsPillowDoes() throws {
    let pixels = (0..<1024 * 1024 * 3).map { index in
      UInt8(truncatingIfNeeded: (UInt64(index) &* UInt64(index) &* 2_654_435_761) >> 24)
    }
    let small = Raster(width: 1024, height: 1024, channels: 3, pixels: pixels).resized(width: 256, height: 256)
    let expected = try String(decoding: bytes(of: "\(fixtures)/resize/large.sha256"), as: UTF8.self)
    #expect(SHA256.hexDigest(of: small.pixels) == expected)
  }

  @Test(arguments: [(1, 9), (40, 3), (17, 17)]) func anEvenPictureStaysEven(_ width: Int, _ height: Int) {
    for value in [0, 1, 127, 255] as [UInt8] {
      let resized = Raster(width: 13, height: 11, channels: 3, filledWith: value).resized(width: width, height: height)
      #expect(resized == Raster(width: width, height: height, channels: 3, filledWith: value))
    }
  }
}

@Suite struct NormalizationTests {
  @Test func normalisesAsPyTorchDoes() throws {
    let pixels = (0..<256).flatMap { [UInt8($0), UInt8($0), UInt8($0)] }
    let raster = Raster(width: 16, height: 16, channels: 3, pixels: pixels)
    let values = [Float](unsafeUninitializedCapacity: 768) { buffer, count in
      if let target = buffer.baseAddress { raster.normalized(into: target) }
      count = 768
    }
    // Channel after channel there, channels together here.
    let expected = try bytes(of: "\(fixtures)/normalized.f32").withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    #expect(expected.count == 768)
    for value in 0..<256 {
      for channel in 0..<3 { #expect(values[3 * value + channel] == expected[256 * channel + value]) }
    }
  }

  @Test func masksAreCutAtOneHalf() {
    let mask = Raster(width: 4, height: 1, channels: 1, pixels: [0, 127, 128, 255]).binaryMask()
    #expect(mask == [false, false, true, true])
  }
}
