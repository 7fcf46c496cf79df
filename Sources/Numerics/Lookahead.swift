import CVectorKernels

/// What products ask the caches for while they are computed, since it is read soon after them. Else a block's time would be first memory's and then the
/// processor's.
extension rd_ahead {
  init(_ first: rd_area?, _ second: rd_area? = nil) {
    self.init(first: first ?? rd_area(), second: second ?? rd_area())
  }
}

extension rd_area {
  /// - Parameters:
  ///   - width: channels of a pixel.
  ///   - channels: those that are read; all without a range.
  init(_ x: FeatureMap, pixels: Range<Int>, of width: Int, channels: Range<Int>? = nil) {
    let channels = channels ?? 0..<width
    let isWhole = channels.count == width
    func bytes(_ values: Int) -> Int { x.words(values) * MemoryLayout<Float>.stride }
    let run = bytes(isWhole ? pixels.count * width : channels.count)
    self.init(
      next: UnsafeRawPointer(x.advanced(by: pixels.lowerBound * width + channels.lowerBound).start)
        .assumingMemoryBound(to: CChar.self), left: run, bytes: run, stride: bytes(width),
      runs: pixels.isEmpty ? 0 : isWhole ? 1 : pixels.count)
  }
}

extension ConvolutionShape.Map {
  var pixels: Int { height * width }

  /// About the pixels that belong to some of the `count` equal parts of every image.
  func pixels(under some: Range<Int>, of count: Int) -> Range<Int> {
    some.lowerBound * pixels / count..<some.upperBound * pixels / count
  }
}
