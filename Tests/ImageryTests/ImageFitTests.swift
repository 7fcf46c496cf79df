import Testing

@testable import Imagery

@Suite struct ImageFitTests {
  private func gradient(_ width: Int, _ height: Int, channels: Int) -> Raster {
    Raster(
      width: width, height: height, channels: channels,
      pixels: (0..<width * height * channels).map { UInt8(truncatingIfNeeded: 7 * $0) })
  }

  @Test(arguments: [1, 3]) func paddingKeepsTheAspectRatio(channels: Int) {
    for (width, height, inside) in [(60, 30, (16, 8)), (20, 80, (4, 16)), (1000, 3, (16, 1)), (3, 1000, (1, 16))] {
      let picture = gradient(width, height, channels: channels)
      let padded = ImageFit.pad.square(picture, side: 16)
      let scaled = picture.resized(width: inside.0, height: inside.1)
      #expect(padded.width == 16 && padded.height == 16)
      let fill: [UInt8] = channels == 1 ? [0] : [124, 116, 104]
      for row in 0..<16 {
        for column in 0..<16 {
          for channel in 0..<channels {
            let isInside = row < inside.1 && column < inside.0
            let expected =
              isInside ? scaled.pixels[(row * inside.0 + column) * channels + channel] : fill[channel]
            guard padded.pixels[(row * 16 + column) * channels + channel] == expected else {
              Issue.record("\(width) x \(height): row \(row), column \(column)")
              return
            }
          }
        }
      }
    }
  }

  @Test func squaresAreTheSameEitherWay() {
    let picture = gradient(50, 50, channels: 3)
    #expect(ImageFit.pad.square(picture, side: 32) == ImageFit.stretch.square(picture, side: 32))
    #expect(ImageFit.pad.whole(picture) == picture)
  }

  @Test func theWholeOfAPictureIsWhatAMapCovers() {
    let picture = gradient(5, 3, channels: 3)
    #expect(ImageFit.stretch.whole(picture) == picture && ImageFit.stretch.extent(width: 5, height: 3) == [5, 3])
    let whole = ImageFit.pad.whole(picture)
    #expect(whole.width == 5 && whole.height == 5 && ImageFit.pad.extent(width: 5, height: 3) == [5, 5])
    #expect(Array(whole.pixels.prefix(45)) == picture.pixels && Array(whole.pixels.suffix(3)) == [124, 116, 104])
  }
}
