import Foundation

/// Picture files of many kinds, good, odd and bad, made from a seed.
public struct BadPictures {
  /// A file's content, and whether it is a picture.
  public struct File: Sendable {
    public let kind: String
    public let bytes: [UInt8]
    public let isReadable: Bool
  }

  public let files: [File]
  /// The kinds of which there is at least one.
  public var kinds: Set<String> { Set(files.map(\.kind)) }

  /// - Parameter jpegs: some JPEG files of this project's own.
  public init(seed: UInt64, jpegs: [String: [UInt8]]) {
    var random = SeededGenerator(seed: seed)
    var files: [File] = []
    func bad(_ kind: String, _ bytes: [UInt8]) { files.append(File(kind: kind, bytes: bytes, isReadable: false)) }
    func good(_ kind: String, _ bytes: [UInt8]) { files.append(File(kind: kind, bytes: bytes, isReadable: true)) }
    func noise(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }

    // Whole pictures, some of them odd.
    for (width, height) in [(1, 1), (1, 300), (300, 1), (17, 23)] {
      good("PNG of odd size", PNG(width: width, height: height).bytes)
    }
    for depth in [1, 2, 4, 8, 16] { good("grey of any depth", PNG(width: 9, height: 7, depth: depth, color: 0).bytes) }
    good("16-bit color", PNG(width: 9, height: 7, depth: 16, color: 2).bytes)
    good("color with transparency", PNG(width: 9, height: 7, depth: 8, color: 6).bytes)
    good("grey with transparency", PNG(width: 9, height: 7, depth: 8, color: 4).bytes)
    good("interlaced", PNG(width: 9, height: 7, isInterlaced: true).bytes)
    let palette = PNG.chunk("PLTE", noise(3 * 16)) + PNG.chunk("tRNS", noise(9))
    good("palette with transparency", PNG(width: 9, height: 7, depth: 4, color: 3, before: palette).bytes)
    good("chunks nobody knows", PNG(width: 9, height: 7, before: PNG.chunk("quIz", noise(30))).bytes)
    good("text chunk", PNG(width: 9, height: 7, before: PNG.chunk("tEXt", Array("Comment\0hello".utf8))).bytes)
    good("something behind its end", PNG(width: 9, height: 7).bytes + noise(50))
    for (name, bytes) in jpegs.sorted(by: { $0.key < $1.key }) { good("JPEG \(name)", bytes) }

    // What is no picture.
    bad("empty", [])
    for count in [1, 3, 8, 100, 5000] { bad("zeros", [UInt8](repeating: 0, count: count)) }
    for count in [2, 64, 5000] { bad("noise", noise(count)) }
    for (kind, start) in [
      ("GIF", Array("GIF89a".utf8)), ("BMP", Array("BM".utf8)), ("TIFF", [0x49, 0x49, 42, 0]),
      ("WebP", Array("RIFF\u{10}\0\0\0WEBPVP8 ".utf8)), ("ZIP", Array("PK\u{3}\u{4}".utf8)),
      ("HDF5", [0x89] + Array("HDF\r\n".utf8) + [0x1A, 0x0A]), ("HTML", Array("<!doctype html><html>".utf8)),
      ("Git LFS pointer", Array("version https://git-lfs.github.com/spec/v1\n".utf8)),
      ("text", Array("not a picture\n".utf8)), ("SVG", Array("<svg xmlns='http://www.w3.org/2000/svg'/>".utf8)),
    ] { bad(kind, start + noise(40)) }

    // PNG, damaged.
    let png = PNG(width: 17, height: 23).bytes
    for place in stride(from: 1, to: png.count, by: png.count / 60) { bad("truncated PNG", Array(png.prefix(place))) }
    bad("PNG signature alone", Array(png.prefix(8)))
    for count in [1, 10, 100, 1000] { bad("noise behind PNG's signature", Array(png.prefix(8)) + noise(count)) }
    for place in 0..<8 { bad("wrong magic", Self.changed(png, at: place) { $0 ^ 0x20 }) }
    for place in 29..<33 { bad("bad CRC of the header", Self.changed(png, at: place) { $0 ^ 1 }) }
    for place in stride(from: 45, to: png.count - 20, by: 50) {
      bad("bad CRC of the pixels", Self.changed(png, at: place) { $0 ^ 4 })
    }
    for side in [65_000, 65_535, 1_000_000, Int(Int32.max)] {
      bad("decompression bomb", PNG(width: side, height: side, rows: 1).bytes)
    }
    bad("no width", PNG(width: 0, height: 5).bytes)
    bad("no height", PNG(width: 5, height: 0).bytes)
    for depth in [0, 3, 5, 32] { bad("impossible depth", PNG(width: 9, height: 7, header: (depth, 2, 0, 0, 0)).bytes) }
    for color in [1, 5, 7, 255] { bad("impossible color", PNG(width: 9, height: 7, header: (8, color, 0, 0, 0)).bytes) }
    bad("impossible compression", PNG(width: 9, height: 7, header: (8, 2, 1, 0, 0)).bytes)
    bad("impossible filter method", PNG(width: 9, height: 7, header: (8, 2, 0, 1, 0)).bytes)
    bad("impossible interlacing", PNG(width: 9, height: 7, header: (8, 2, 0, 0, 7)).bytes)
    bad("impossible row filter", PNG(width: 9, height: 7, filter: 9).bytes)
    bad("palette missing", PNG(width: 9, height: 7, depth: 4, color: 3).bytes)
    bad("rows missing", PNG(width: 9, height: 7, rows: 5).bytes)
    bad("no pixels", PNG.start + PNG.header(9, 7, (8, 2, 0, 0, 0)) + PNG.chunk("IEND", []))
    bad("no end", Array(png.dropLast(12)))
    bad("pixels before the header", PNG.start + PNG.chunk("IDAT", noise(20)) + Array(png.dropFirst(8)))
    for count in [0, 1, 50] {
      bad(
        "pixels that are no deflate stream",
        PNG.start + PNG.header(9, 7, (8, 2, 0, 0, 0)) + PNG.chunk("IDAT", noise(count)) + PNG.chunk("IEND", []))
    }
    for length: [UInt8] in [[0x7F, 0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFF, 0xFF], [0, 1, 0, 0]] {
      bad("chunk longer than the file", PNG.start + length + Array(png.dropFirst(12)))
    }

    // JPEG, damaged.
    for jpeg in jpegs.sorted(by: { $0.key < $1.key }).map(\.value) {
      for place in stride(from: 2, to: jpeg.count - 2, by: max(jpeg.count / 25, 1)) {
        bad("truncated JPEG", Array(jpeg.prefix(place)))
      }
      guard let frame = Self.segment(jpeg, [0xC0, 0xC1, 0xC2]) else { continue }
      func frameChanged(_ kind: String, _ offset: Int, to bytes: [UInt8]) {
        var changed = jpeg
        changed.replaceSubrange(frame + offset..<frame + offset + bytes.count, with: bytes)
        bad(kind, changed)
      }
      frameChanged("decompression bomb", 5, to: [0xFF, 0xDC, 0xFF, 0xDC])
      frameChanged("no width", 7, to: [0, 0])
      frameChanged("JPEG of 12 bits", 4, to: [12])
      frameChanged("lossless JPEG", 1, to: [0xC3])
      frameChanged("hierarchical JPEG", 1, to: [0xC5])
      frameChanged("no components", 9, to: [0])
      frameChanged("255 components", 9, to: [255])
      for (kind, markers) in [("no quantisation tables", [0xDB]), ("no scan", [0xDA])]
        as [(String, [UInt8])]
      {
        var changed = jpeg
        while let place = Self.segment(changed, markers) {
          let end = place + 2 + Int(changed[place + 2]) << 8 + Int(changed[place + 3])
          changed.removeSubrange(place..<(kind == "no scan" ? changed.count : min(end, changed.count)))
        }
        bad("JPEG with \(kind)", changed)
      }
    }
    bad("JPEG's start alone", [0xFF, 0xD8, 0xFF])
    for count in [1, 10, 100, 1000] { bad("noise behind JPEG's start", [0xFF, 0xD8, 0xFF] + noise(count)) }
    self.files = files
  }

  private static func changed(_ bytes: [UInt8], at place: Int, _ change: (UInt8) -> UInt8) -> [UInt8] {
    var bytes = bytes
    bytes[place] = change(bytes[place])
    return bytes
  }

  /// Where the first segment with one of these markers begins.
  private static func segment(_ jpeg: [UInt8], _ markers: [UInt8]) -> Int? {
    var place = 2
    while place + 4 <= jpeg.count, jpeg[place] == 0xFF {
      if markers.contains(jpeg[place + 1]) { return place }
      if jpeg[place + 1] == 0xDA { return nil }
      place += 2 + Int(jpeg[place + 2]) << 8 + Int(jpeg[place + 3])
    }
    return nil
  }
}

/// A PNG file of a gradient, its pixels not compressed, or something like one.
public struct PNG {
  public let bytes: [UInt8]

  static let start: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  /// - Parameters:
  ///   - color: PNG's number for the kind of its pixels.
  ///   - rows: how many of the rows are there.
  ///   - filter: of each row.
  ///   - header: depth, color, compression, filter method and interlacing that the header gives, whatever the pixels are.
  ///   - before: chunks between header and pixels.
  public init(
    width: Int, height: Int, depth: Int = 8, color: Int = 2, isInterlaced: Bool = false, rows: Int? = nil,
    filter: UInt8 = 0, header: (Int, Int, Int, Int, Int)? = nil, before: [UInt8] = []
  ) {
    let channels = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][color] ?? 1
    func lines(_ width: Int, _ height: Int) -> [UInt8] {
      let length = (width * channels * depth + 7) / 8
      guard length > 0, length < 1 << 20 else { return [] }
      return (0..<height).flatMap { row in [filter] + (0..<length).map { UInt8(truncatingIfNeeded: $0 * 5 + row * 3) } }
    }
    var pixels: [UInt8] = []
    if isInterlaced {
      for (x, y, dx, dy) in [
        (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
      ] {
        pixels += lines((width - x + dx - 1) / dx, (height - y + dy - 1) / dy)
      }
    } else {
      pixels = lines(width, rows ?? height)
    }
    bytes =
      Self.start + Self.header(width, height, header ?? (depth, color, 0, 0, isInterlaced ? 1 : 0)) + before
      + Self.chunk("IDAT", Self.stored(pixels)) + Self.chunk("IEND", [])
  }

  static func header(_ width: Int, _ height: Int, _ rest: (Int, Int, Int, Int, Int)) -> [UInt8] {
    chunk(
      "IHDR", bigEndian(width) + bigEndian(height) + [rest.0, rest.1, rest.2, rest.3, rest.4].map { UInt8($0) })
  }

  static func chunk(_ name: String, _ content: [UInt8]) -> [UInt8] {
    bigEndian(content.count) + Array(name.utf8) + content + bigEndian(Int(crc32(Array(name.utf8) + content)))
  }

  /// A zlib stream that compresses nothing.
  private static func stored(_ bytes: [UInt8]) -> [UInt8] {
    var stream: [UInt8] = [0x78, 0x01]
    for start in stride(from: 0, to: max(bytes.count, 1), by: 65_535) {
      let block = bytes[min(start, bytes.count)..<min(start + 65_535, bytes.count)]
      let length = UInt16(block.count)
      stream += [start + 65_535 >= bytes.count ? 1 : 0]
      for number in [length, ~length] { stream += [UInt8(number & 255), UInt8(number >> 8)] }
      stream += block
    }
    let (a, b) = bytes.reduce((1, 0)) { sums, byte in
      let a = (sums.0 + Int(byte)) % 65_521
      return (a, (sums.1 + a) % 65_521)
    }
    return stream + bigEndian(b << 16 | a)
  }

  private static func bigEndian(_ number: Int) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
  }
}
