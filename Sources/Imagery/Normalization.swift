/// The mean and standard deviation of ImageNet's pictures, red, green, blue, on a scale of 0 to 1.
public enum ImageNetStatistics {
  public static let mean: [Float] = [0.485, 0.456, 0.406]
  public static let standardDeviation: [Float] = [0.229, 0.224, 0.225]

  /// What each of the 256 samples becomes, channel by channel: `(value / 255 - mean) / deviation`, each step
  /// rounded to Float as PyTorch does.
  fileprivate static let normalized: [Float] = (0..<3).flatMap { channel in
    (0..<256).map { (Float($0) / 255 - mean[channel]) / standardDeviation[channel] }
  }
}

extension Raster {
  /// Writes the picture as a network wants it: `height * width * 3` floats, a pixel's channels together (NHWC),
  /// normalised by ImageNet's statistics.
  ///
  /// - Precondition: the picture has three channels.
  public func normalized(into target: UnsafeMutablePointer<Float>) {
    precondition(channels == 3, "only a picture in color can be normalised")
    ImageNetStatistics.normalized.withUnsafeBufferPointer { table in
      pixels.withUnsafeBufferPointer { source in
        for index in stride(from: 0, to: source.count, by: 3) {
          target[index] = table[Int(source[index])]
          target[index + 1] = table[256 + Int(source[index + 1])]
          target[index + 2] = table[512 + Int(source[index + 2])]
        }
      }
    }
  }

  /// A mask of a few small numbers (classes of defects, or 0 and 1) with all of them but 0 in white; others as they are.
  ///
  /// - Precondition: the picture is grey.
  public func withMarksInWhite() -> Raster {
    precondition(channels == 1, "a mask has one channel")
    guard let highest = pixels.max(), (1...127).contains(highest) else { return self }
    return Raster(width: width, height: height, channels: 1, pixels: pixels.map { $0 == 0 ? 0 : 255 })
  }

  /// Which pixels of a mask are marked: sample / 255 > 0.5, row by row.
  ///
  /// - Precondition: the picture is grey.
  public func binaryMask() -> [Bool] {
    precondition(channels == 1, "a mask has one channel")
    return pixels.map { $0 > 127 }
  }
}
