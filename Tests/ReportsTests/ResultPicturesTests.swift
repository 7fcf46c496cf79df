import Diagnostics
import Imagery
import TestSupport
import Testing

@testable import Reports

@Suite struct ResultPicturesTests {
  private let side = 16
  private let grey = Raster(width: 16, height: 16, channels: 3, filledWith: 120)

  private func pictures() throws -> ResultPictures { ResultPictures(scale: try HeatMapScale(low: 0, high: 2)) }

  private func map(_ value: (Int, Int) -> Float) -> [Float] {
    (0..<side * side).map { value($0 / side, $0 % side) }
  }

  /// Pixels in the outline's color.
  private func outline(of picture: Raster) -> [Bool] {
    (0..<picture.width * picture.height).map { picture[$0] == ResultPictures.outlineColor }
  }

  @Test func aValueHasOneColorInAllImages() throws {
    // The second image has far higher values; the first's must not be stretched to them, nor to its own.
    let first = try pictures().overlay(image: grey, map: map { _, column in column < 8 ? 0.5 : 1 }, side: side)
    let second = try pictures().overlay(image: grey, map: map { _, column in column < 8 ? 1 : 2 }, side: side)
    #expect(first[15] == second[0])
    #expect(first[0] != second[0])
  }

  @Test func valuesBeyondTheScaleTakeItsEnds() throws {
    func overlay(_ value: Float) throws -> Raster {
      try pictures().overlay(image: grey, map: map { _, _ in value }, side: side)
    }
    #expect(try overlay(7) == overlay(2))
    #expect(try overlay(-7) == overlay(0))
    #expect(try overlay(0) == grey)
    #expect(try overlay(1) != overlay(2))
  }

  @Test func theHigherAValueTheMoreItCovers() throws {
    let (dark, light) = (
      Raster(width: 16, height: 16, channels: 3, filledWith: 0),
      Raster(width: 16, height: 16, channels: 3, filledWith: 255)
    )
    // What is left of the image at a value is what tells a dark one from a light one.
    let visible = try stride(from: Float(0), through: 2, by: 0.1).map { value in
      let map = map { _, _ in value }
      let light = try pictures().overlay(image: light, map: map, side: side)
      let dark = try pictures().overlay(image: dark, map: map, side: side)
      return Int(light.pixels[0]) - Int(dark.pixels[0])
    }
    #expect(visible.first == 255)
    #expect(zip(visible, visible.dropFirst()).allSatisfy { $1 <= $0 + 1 })
    #expect(visible.last.map { (20...100).contains($0) } == true)
  }

  @Test func theOutlineRunsAlongTheMask() throws {
    let mask = (0..<side * side).map { index in (5..<9).contains(index / side) && (3..<12).contains(index % side) }
    let picture = try ResultPictures.outlined(grey, mask: mask, side: side)
    for (index, isOutline) in outline(of: picture).enumerated() {
      let (y, x) = (index / side, index % side)
      let isInLine = (4..<10).contains(y) && (2..<13).contains(x)
      let isInCasing = (3..<11).contains(y) && (1..<14).contains(x)
      #expect(isOutline == (isInLine && !mask[index]), "row \(y), column \(x)")
      if !isInLine { #expect(picture[index] == SIMD3(repeating: isInCasing ? 60 : 120)) }
      if mask[index] { #expect(picture[index] == grey[index]) }
    }
  }

  @Test func theOutlineFollowsTheImagesSize() throws {
    var mask = [Bool](repeating: false, count: side * side)
    mask[0] = true
    let picture = try ResultPictures.outlined(
      Raster(width: 64, height: 32, channels: 1, filledWith: 9), mask: mask, side: side)
    #expect((picture.width, picture.height, picture.channels) == (64, 32, 3))
    // The mask's pixel is 4 x 2 pixels of the image, in its corner.
    let expected = (0..<64 * 32).map { index in
      let (y, x) = (index / 64, index % 64)
      return y <= 2 && x <= 4 && !(y < 2 && x < 4)
    }
    #expect(outline(of: picture) == expected)
  }

  @Test func aMaskOfNothingHasNoOutline() throws {
    let mask = [Bool](repeating: false, count: side * side)
    #expect(try ResultPictures.outlined(grey, mask: mask, side: side) == grey)
  }

  @Test func mapsAreStretchedOverTheWholeImage() throws {
    // Left half anomalous, over images of other shapes than the map's.
    let map = map { _, column in column < 8 ? 2 : 0 }
    for (width, height) in [(64, 16), (7, 33), (1, 1), (300, 200)] {
      let image = Raster(width: width, height: height, channels: 1, filledWith: 200)
      let picture = try pictures().overlay(image: image, map: map, side: side)
      #expect((picture.width, picture.height, picture.channels) == (width, height, 3))
      if width > 1 {
        #expect(picture[0] != SIMD3(repeating: 200))
        #expect(picture[width * height - 1] == SIMD3(repeating: 200))
      }
    }
  }

  @Test func panelsHaveTwoOrThreeParts() throws {
    let map = map { row, _ in Float(row) / 8 }
    let mask = map.map { $0 > 1.5 }
    let two = try pictures().panel(image: grey, map: map, side: side)
    let three = try pictures().panel(image: grey, map: map, side: side, mask: mask)
    #expect((two.width, two.height) == (2 * 16 + 2, 16))
    #expect((three.width, three.height) == (3 * 16 + 2 * 2, 16))
    #expect(!outline(of: two).contains(true))
    // The outline is in the third part only, where it does not hide the heat map.
    let columns = outline(of: three).enumerated().filter(\.element).map { $0.offset % three.width }
    #expect(columns.min().map { $0 >= 36 } == true)
  }

  @Test func contactSheetsAreGrids() throws {
    let pictures = [(4, 3), (2, 5), (4, 5)].map { width, height in
      Raster(width: width, height: height, channels: 1, filledWith: 7)
    }
    let sheet = try contactSheet(pictures, columns: 2, gap: 1)
    #expect((sheet.width, sheet.height, sheet.channels) == (4 + 1 + 4, 5 + 1 + 5, 3))
    #expect(sheet.pixels.count { $0 == 7 } == 3 * (12 + 10 + 20))
    // The first fills 3 of 5 rows of its cell; the third starts the second row.
    #expect(sheet[0] == SIMD3(repeating: 7))
    #expect(sheet[3 * 9] == SIMD3(repeating: 255))
    #expect(sheet[6 * 9] == SIMD3(repeating: 7))
    #expect(try contactSheet([grey], columns: 5) == grey)
  }

  @Test func badInputIsRejected() throws {
    let good = map { _, _ in 0 }
    for bad in [Float.nan, .infinity, -.infinity] {
      let map = map { row, column in row == 3 && column == 4 ? bad : 0 }
      let failure = expectError(Failure.self) { _ = try pictures().overlay(image: grey, map: map, side: side) }
      #expect(failure?.code == .internalError)
      #expect(throws: Failure.self) { _ = try pictures().panel(image: grey, map: map, side: side) }
    }
    #expect(throws: Failure.self) { _ = try pictures().overlay(image: grey, map: good, side: 15) }
    #expect(throws: Failure.self) { _ = try pictures().overlay(image: grey, map: [], side: 0) }
    #expect(throws: Failure.self) { _ = try ResultPictures.outlined(grey, mask: [true], side: side) }
    #expect(throws: Failure.self) { _ = try contactSheet([], columns: 1) }
    #expect(throws: Failure.self) { _ = try contactSheet([grey], columns: 0) }
  }
}

extension Raster {
  /// A pixel of a picture in color.
  fileprivate subscript(index: Int) -> SIMD3<UInt8> {
    SIMD3(pixels[3 * index], pixels[3 * index + 1], pixels[3 * index + 2])
  }
}
