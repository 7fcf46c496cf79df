/// How a camera was held, as Exif data in a file say it (or the TIFF file itself): what has to be done to the stored picture to see it upright.
enum ExifOrientation: UInt16 {
  case upright = 1
  case mirrored, upsideDown, mirroredUpsideDown, transposed, turnedLeft, transposedUpsideDown, turnedRight

  /// What the bytes of a picture file say; upright where they say nothing, or nothing sensible.
  init(ofFile bytes: [UInt8]) {
    let exif =
      switch bytes.first {
      case 0xFF: Self.exif(ofJPEG: bytes)
      case 0x89: Self.exif(ofPNG: bytes)
      case UInt8(ascii: "R"): Self.exif(ofWebP: bytes)
      default: nil as ArraySlice<UInt8>?
      }
    self = exif.flatMap(Self.orientation) ?? .upright
  }

  /// The content of the first Exif segment before the picture.
  private static func exif(ofJPEG bytes: [UInt8]) -> ArraySlice<UInt8>? {
    var place = 2
    while let marker = number(bytes[...], at: place, bytes: 2, isLittle: false), marker >= 0xFF00,
      // The picture begins, or the file ends.
      marker != 0xFFDA, marker != 0xFFD9, let length = number(bytes[...], at: place + 2, bytes: 2, isLittle: false)
    {
      let (start, end) = (place + 4, place + 2 + length)
      guard start <= end, end <= bytes.count else { return nil }
      let content = bytes[start..<end]
      if marker == 0xFFE1, content.starts(with: exifStart) { return content.dropFirst(exifStart.count) }
      place = end
    }
    return nil
  }

  private static func exif(ofPNG bytes: [UInt8]) -> ArraySlice<UInt8>? {
    var place = 8
    while let length = number(bytes[...], at: place, bytes: 4, isLittle: false), place + 12 + length <= bytes.count {
      let start = place + 8
      if bytes[place + 4..<start].elementsEqual("eXIf".utf8) { return bytes[start..<start + length] }
      place = start + length + 4
    }
    return nil
  }

  private static func exif(ofWebP bytes: [UInt8]) -> ArraySlice<UInt8>? {
    var place = 12
    while let length = number(bytes[...], at: place + 4, bytes: 4, isLittle: true), place + 8 + length <= bytes.count {
      let content = bytes[place + 8..<place + 8 + length]
      if bytes[place..<place + 4].elementsEqual("EXIF".utf8) {
        // Some writers take it over from JPEG with its start.
        return content.starts(with: exifStart) ? content.dropFirst(exifStart.count) : content
      }
      place += 8 + length + length % 2
    }
    return nil
  }

  private static let exifStart = Array("Exif\0\0".utf8)

  /// What a TIFF structure's first directory says.
  private static func orientation(_ tiff: ArraySlice<UInt8>) -> ExifOrientation? {
    let isLittle: Bool
    switch tiff.prefix(2) {
    case [0x49, 0x49]: isLittle = true
    case [0x4D, 0x4D]: isLittle = false
    default: return nil
    }
    func number(_ place: Int, _ bytes: Int) -> Int? {
      Self.number(tiff, at: tiff.startIndex + place, bytes: bytes, isLittle: isLittle)
    }
    guard let directory = number(4, 4), let count = number(directory, 2) else { return nil }
    for entry in 0..<count {
      let place = directory + 2 + 12 * entry
      guard let tag = number(place, 2) else { return nil }
      // One 16-bit number.
      if tag == 0x0112, number(place + 2, 2) == 3, number(place + 4, 4) == 1 {
        return number(place + 8, 2).flatMap { ExifOrientation(rawValue: UInt16($0)) }
      }
    }
    return nil
  }

  /// A number of at most 4 bytes; nil beyond the end.
  private static func number(_ bytes: ArraySlice<UInt8>, at place: Int, bytes count: Int, isLittle: Bool) -> Int? {
    guard place >= bytes.startIndex, place <= bytes.endIndex - count else { return nil }
    let digits = bytes[place..<place + count]
    return (isLittle ? Array(digits.reversed()) : Array(digits)).reduce(0) { $0 << 8 | Int($1) }
  }
}

extension Raster {
  /// The picture as it is to be seen.
  func upright(_ orientation: ExifOrientation) -> Raster {
    switch orientation {
    case .upright: self
    case .mirrored: rearranged(width: width, height: height) { (width - 1 - $0, $1) }
    case .upsideDown: rearranged(width: width, height: height) { (width - 1 - $0, height - 1 - $1) }
    case .mirroredUpsideDown: rearranged(width: width, height: height) { ($0, height - 1 - $1) }
    case .transposed: rearranged(width: height, height: width) { ($1, $0) }
    case .turnedLeft: rearranged(width: height, height: width) { ($1, height - 1 - $0) }
    case .transposedUpsideDown: rearranged(width: height, height: width) { (width - 1 - $1, height - 1 - $0) }
    case .turnedRight: rearranged(width: height, height: width) { (width - 1 - $1, $0) }
    }
  }

  /// - Parameter source: the place in this picture of a place (column, row) in the new one.
  private func rearranged(
    width newWidth: Int, height newHeight: Int, from source: (_ column: Int, _ row: Int) -> (column: Int, row: Int)
  ) -> Raster {
    var result = Raster(width: newWidth, height: newHeight, channels: channels)
    for row in 0..<newHeight {
      for column in 0..<newWidth {
        let from = source(column, row)
        for channel in 0..<channels {
          result.pixels[(row * newWidth + column) * channels + channel] =
            pixels[(from.row * width + from.column) * channels + channel]
        }
      }
    }
    return result
  }
}
