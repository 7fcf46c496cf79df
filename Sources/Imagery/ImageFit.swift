/// How a picture becomes a square one, as networks take it.
public enum ImageFit: String, CaseIterable, Sendable {
  /// Width and height are scaled apart, as in the paper.
  case stretch
  /// The aspect ratio is kept. A picture that is wider than high lies at the top, one that is higher than wide on the left; the rest is of the mean color of
  /// ImageNet's pictures, of which normalisation makes nearly zero, and in masks not marked.
  case pad

  /// The picture at `side` x `side` pixels.
  public func square(_ picture: Raster, side: Int) -> Raster {
    switch self {
    case .stretch: return picture.resized(width: side, height: side)
    case .pad:
      let longer = max(picture.width, picture.height)
      func scaled(_ length: Int) -> Int { max(1, (2 * length * side + longer) / (2 * longer)) }
      let scaled = picture.resized(width: scaled(picture.width), height: scaled(picture.height))
      guard scaled.width < side || scaled.height < side else { return scaled }
      let (channels, rowLength) = (picture.channels, scaled.width * picture.channels)
      var padded = Raster(width: side, height: side, channels: channels)
      if channels == 3 {
        let color = ImageNetStatistics.mean.map { UInt8(($0 * 255).rounded()) }
        for index in padded.pixels.indices { padded.pixels[index] = color[index % 3] }
      }
      for row in 0..<scaled.height {
        padded.pixels.replaceSubrange(
          row * side * channels..<row * side * channels + rowLength,
          with: scaled.pixels[row * rowLength..<(row + 1) * rowLength])
      }
      return padded
    }
  }

  /// What of the plane an anomaly map covers: the picture's own width and height, or the square that the picture is a part of.
  public func extent(width: Int, height: Int) -> SIMD2<Int> {
    self == .stretch ? SIMD2(width, height) : SIMD2(repeating: max(width, height))
  }

  /// The picture with all that an anomaly map covers.
  public func whole(_ picture: Raster) -> Raster {
    self == .stretch ? picture : square(picture, side: max(picture.width, picture.height))
  }
}
