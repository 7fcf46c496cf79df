extension Raster {
  /// The picture at another size, by Pillow's antialiased bilinear `resize`, bit for bit.
  ///
  /// A triangle filter, as wide as one source pixel or, when the picture shrinks, one target pixel, runs along the
  /// rows and then down the columns; each pass rounds to 8 bits. The aspect ratio is not kept.
  public func resized(width newWidth: Int, height newHeight: Int) -> Raster {
    precondition(newWidth > 0 && newHeight > 0, "a picture has at least one pixel")
    var raster = self
    if newWidth != width { raster = raster.resampledAlongRows(to: newWidth) }
    if newHeight != height { raster = raster.resampledAlongColumns(to: newHeight) }
    return raster
  }

  private func resampledAlongRows(to newWidth: Int) -> Raster {
    let filter = TriangleFilter(from: width, to: newWidth)
    let resampled = [UInt8](unsafeUninitializedCapacity: newWidth * height * channels) { target, count in
      pixels.withUnsafeBufferPointer { source in
        filter.weights.withUnsafeBufferPointer { weights in
          for row in 0..<height {
            var out = row * newWidth * channels
            for (x, window) in filter.windows.enumerated() {
              var sample = (row * width + window.lowerBound) * channels
              var weight = x * filter.taps
              if channels == 3 {
                var (red, green, blue) = (TriangleFilter.half, TriangleFilter.half, TriangleFilter.half)
                for _ in window {
                  red &+= Int32(source[sample]) &* weights[weight]
                  green &+= Int32(source[sample + 1]) &* weights[weight]
                  blue &+= Int32(source[sample + 2]) &* weights[weight]
                  sample &+= 3
                  weight &+= 1
                }
                target[out] = TriangleFilter.sample(red)
                target[out + 1] = TriangleFilter.sample(green)
                target[out + 2] = TriangleFilter.sample(blue)
              } else {
                var grey = TriangleFilter.half
                for _ in window {
                  grey &+= Int32(source[sample]) &* weights[weight]
                  sample &+= 1
                  weight &+= 1
                }
                target[out] = TriangleFilter.sample(grey)
              }
              out &+= channels
            }
          }
        }
      }
      count = newWidth * height * channels
    }
    return Raster(width: newWidth, height: height, channels: channels, pixels: resampled)
  }

  private func resampledAlongColumns(to newHeight: Int) -> Raster {
    let filter = TriangleFilter(from: height, to: newHeight)
    let rowLength = width * channels
    // One target row at a time, all its samples side by side: this is what the compiler can vectorise.
    var row = [Int32](repeating: 0, count: rowLength)
    let resampled = [UInt8](unsafeUninitializedCapacity: newHeight * rowLength) { target, count in
      pixels.withUnsafeBufferPointer { source in
        row.withUnsafeMutableBufferPointer { row in
          for (y, window) in filter.windows.enumerated() {
            row.update(repeating: TriangleFilter.half)
            for (tap, line) in window.enumerated() {
              let weight = filter.weights[y * filter.taps + tap]
              for x in 0..<rowLength { row[x] &+= Int32(source[line &* rowLength &+ x]) &* weight }
            }
            for x in 0..<rowLength { target[y &* rowLength &+ x] = TriangleFilter.sample(row[x]) }
          }
        }
      }
      count = newHeight * rowLength
    }
    return Raster(width: width, height: newHeight, channels: channels, pixels: resampled)
  }
}

/// For each target position the source positions it is made of and their weights in fixed point.
private struct TriangleFilter {
  static let fractionBits: Int32 = 32 - 8 - 2
  static let half: Int32 = 1 << (fractionBits - 1)

  let windows: [Range<Int>]
  /// `taps` for each target position, zero past its window.
  let weights: [Int32]
  let taps: Int

  init(from sourceLength: Int, to targetLength: Int) {
    let scale = Double(sourceLength) / Double(targetLength)
    let support = max(scale, 1)
    let taps = Int(support.rounded(.up)) * 2 + 1
    var windows: [Range<Int>] = []
    var weights = [Int32](repeating: 0, count: targetLength * taps)
    for position in 0..<targetLength {
      let center = (Double(position) + 0.5) * scale
      let first = max(Int(center - support + 0.5), 0)
      let end = min(Int(center + support + 0.5), sourceLength)
      let triangle = (first..<end).map { max(0, 1 - abs((Double($0) - center + 0.5) * (1 / support))) }
      let sum = triangle.reduce(0, +)
      for (tap, weight) in triangle.enumerated() {
        weights[position * taps + tap] = Int32(0.5 + weight / sum * Double(1 << Self.fractionBits))
      }
      windows.append(first..<end)
    }
    (self.windows, self.weights, self.taps) = (windows, weights, taps)
  }

  /// The 8-bit sample of a sum that started at `half`. The weights are positive, so only the top needs clipping.
  @inline(__always)
  static func sample(_ sum: Int32) -> UInt8 {
    UInt8(truncatingIfNeeded: min(sum &>> fractionBits, 255))
  }
}
