import Diagnostics

/// Windows bitmaps that are not compressed: of 1, 4 or 8 bits a pixel with a palette, or of 16, 24 or 32 bits, whose masks may say which of
/// them are which color.
struct BitmapFile {
  private let bytes: [UInt8]
  private let path: String

  /// - Returns: the picture with 3 channels, or with 4 where it has alpha.
  /// - Throws: `Failure(.badData)` where the file is cut off, damaged or of another kind.
  static func decode(_ bytes: [UInt8], named path: String) throws -> DecodedPicture {
    try BitmapFile(bytes: bytes, path: path).decoded()
  }

  private func decoded() throws -> DecodedPicture {
    let pixelStart = try number(at: 10)
    let headerSize = try number(at: 14)
    guard headerSize >= 40 else { throw failure("a header of \(headerSize) bytes") }
    let (width, storedHeight) = (try signed(at: 18), try signed(at: 22))
    let (height, isTopDown) = (abs(storedHeight), storedHeight < 0)
    let (depth, compression) = (try number(at: 28, bytes: 2), try number(at: 30))
    guard width > 0, height > 0 else { throw failure("\(width) x \(height) pixels") }
    guard width <= ImageFile.mostPixels / height else { throw failure("the picture is too large") }
    guard [0, 3, 6].contains(compression) else {
      throw failure("it is compressed (kind \(compression))", hint: "store it without compression, or as PNG")
    }
    let rowBytes = (width * depth + 31) / 32 * 4
    guard pixelStart >= 14 + headerSize, pixelStart + rowBytes * height <= bytes.count else {
      throw failure("the file ends too early")
    }
    func rows(channels: Int, pixel: (_ row: Int, _ column: Int) throws -> SIMD4<UInt8>) rethrows -> DecodedPicture {
      var pixels = [UInt8](repeating: 0, count: width * height * channels)
      for row in 0..<height {
        let start = pixelStart + (isTopDown ? row : height - 1 - row) * rowBytes
        for column in 0..<width {
          let color = try pixel(start, column)
          for channel in 0..<channels { pixels[(row * width + column) * channels + channel] = color[channel] }
        }
      }
      return DecodedPicture(width: width, height: height, channels: channels, pixels: pixels)
    }
    switch (depth, compression) {
    case (1, 0), (4, 0), (8, 0):
      let palette = try palette(headerSize, before: pixelStart, depth: depth)
      return try rows(channels: 3) { row, column in
        let bit = column * depth
        let index = Int(bytes[row + bit / 8]) >> (8 - depth - bit % 8) & (1 << depth - 1)
        guard index < palette.count else { throw failure("a pixel has color \(index) of \(palette.count)") }
        return palette[index]
      }
    case (24, 0):
      return rows(channels: 3) { row, column in
        let place = row + 3 * column
        return SIMD4(bytes[place + 2], bytes[place + 1], bytes[place], 255)
      }
    case (16, _), (32, _):
      let masks = try masks(headerSize, depth: depth, areGiven: compression != 0)
      return rows(channels: masks[3] == 0 ? 3 : 4) { row, column in
        let place = row + depth / 8 * column
        let value = (0..<depth / 8).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32(bytes[place + $1]) }
        var color = SIMD4<UInt8>(repeating: 0)
        for channel in 0..<4 { color[channel] = Self.sample(value, mask: masks[channel]) }
        return color
      }
    default: throw failure("\(depth) bits a pixel")
    }
  }

  private func palette(_ headerSize: Int, before end: Int, depth: Int) throws -> [SIMD4<UInt8>] {
    let given = try number(at: 46)
    let count = min(given == 0 ? 1 << depth : given, 1 << depth, (end - 14 - headerSize) / 4)
    return (0..<count).map { color in
      let place = 14 + headerSize + 4 * color
      return SIMD4(bytes[place + 2], bytes[place + 1], bytes[place], 255)
    }
  }

  /// The bits of red, green, blue and alpha.
  private func masks(_ headerSize: Int, depth: Int, areGiven: Bool) throws -> SIMD4<UInt32> {
    guard areGiven else {
      return depth == 16 ? SIMD4(0x7C00, 0x03E0, 0x001F, 0) : SIMD4(0xFF_0000, 0xFF00, 0xFF, 0)
    }
    // They follow the shortest header, and are part of the longer ones; only these have alpha.
    var masks = SIMD4<UInt32>(repeating: 0)
    for channel in 0..<(headerSize >= 56 ? 4 : 3) { masks[channel] = UInt32(try number(at: 54 + 4 * channel)) }
    for channel in 0..<4 {
      let mask = masks[channel]
      let isOneRun = mask.leadingZeroBitCount + mask.nonzeroBitCount + mask.trailingZeroBitCount == 32
      guard mask == 0 ? channel == 3 : isOneRun else { throw failure("the mask of a color is \(mask)") }
    }
    return masks
  }

  /// The bits of a mask, brought to 8.
  private static func sample(_ value: UInt32, mask: UInt32) -> UInt8 {
    guard mask != 0 else { return 0 }
    let most = UInt64(mask >> mask.trailingZeroBitCount)
    return UInt8((UInt64((value & mask) >> mask.trailingZeroBitCount) * 255 + most / 2) / most)
  }

  private func number(at place: Int, bytes count: Int = 4) throws -> Int {
    guard place + count <= bytes.count else { throw failure("the file ends too early") }
    return (0..<count).reversed().reduce(0) { $0 << 8 | Int(bytes[place + $1]) }
  }

  private func signed(at place: Int) throws -> Int { Int(Int32(truncatingIfNeeded: try number(at: place))) }

  private func failure(_ reason: String, hint: String? = nil) -> Failure {
    ImageFile.undecodable(path, "BMP", reason, hint: hint)
  }
}
