/// A picture of 8-bit samples: `height` rows of `width` pixels of `channels` samples, from the top left, without padding.
public struct Raster: Sendable, Equatable {
  public let width: Int
  public let height: Int
  /// 1 (grey) or 3 (red, green, blue).
  public let channels: Int
  /// `height * width * channels` samples.
  public var pixels: [UInt8]

  public init(width: Int, height: Int, channels: Int, pixels: [UInt8]) {
    precondition(width > 0 && height > 0 && (channels == 1 || channels == 3), "no such kind of picture")
    precondition(pixels.count == width * height * channels, "a picture of \(pixels.count) samples is not its size")
    self.width = width
    self.height = height
    self.channels = channels
    self.pixels = pixels
  }

  /// A picture of one value.
  public init(width: Int, height: Int, channels: Int, filledWith value: UInt8 = 0) {
    self.init(
      width: width, height: height, channels: channels,
      pixels: [UInt8](repeating: value, count: width * height * channels))
  }

  /// A part of the picture.
  ///
  /// - Precondition: it lies within.
  public func cropped(x: Int, y: Int, width partWidth: Int, height partHeight: Int) -> Raster {
    if partWidth == width, partHeight == height { return self }
    precondition(x >= 0 && y >= 0 && x + partWidth <= width && y + partHeight <= height, "a part beside the picture")
    var part: [UInt8] = []
    part.reserveCapacity(partWidth * partHeight * channels)
    for row in y..<y + partHeight {
      let start = (row * width + x) * channels
      part += pixels[start..<start + partWidth * channels]
    }
    return Raster(width: partWidth, height: partHeight, channels: channels, pixels: part)
  }

  /// The same picture with three channels.
  public func inColor() -> Raster {
    if channels == 3 { return self }
    let color = [UInt8](unsafeUninitializedCapacity: pixels.count * 3) { color, count in
      for (index, value) in pixels.enumerated() {
        color[3 * index] = value
        color[3 * index + 1] = value
        color[3 * index + 2] = value
      }
      count = pixels.count * 3
    }
    return Raster(width: width, height: height, channels: 3, pixels: color)
  }

  /// The same picture with one channel: luma by ITU-R 601-2, in Pillow's fixed point.
  public func inGrey() -> Raster {
    if channels == 1 { return self }
    let count = width * height
    let grey = [UInt8](unsafeUninitializedCapacity: count) { grey, initialized in
      pixels.withUnsafeBufferPointer { color in
        for index in 0..<count {
          let red = UInt32(color[3 * index])
          let green = UInt32(color[3 * index + 1])
          let blue = UInt32(color[3 * index + 2])
          grey[index] = UInt8(truncatingIfNeeded: (red &* 19595 &+ green &* 38470 &+ blue &* 7471 &+ 0x8000) >> 16)
        }
      }
      initialized = count
    }
    return Raster(width: width, height: height, channels: 1, pixels: grey)
  }
}
