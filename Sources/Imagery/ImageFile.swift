import CImageCodecs
import Diagnostics
import FileSystem
import Glibc

/// Pictures as files: PNG, JPEG, TIFF, BMP and WebP, told apart by their first bytes and not by their names.
public enum ImageFile {
  /// Reads a picture in color, upright, palettes expanded, and laid over black where it is transparent: without transparency as Pillow's
  /// `exif_transpose` and `convert("RGB")` give it.
  ///
  /// 16-bit samples become `value * 255 / 65535`, rounded, where Pillow clips or truncates.
  /// - Throws: `Failure` of `.badData` where the file is missing, empty, of another kind, damaged or cut off;
  ///   of `.inputOutput` where it cannot be read.
  public static func decode(_ path: String) throws -> Raster {
    try picture(from: readFile(path), named: path).inColor()
  }

  /// Reads a picture in grey, as Pillow's `exif_transpose` and `convert("L")` give it. Throws as `decode` does.
  public static func decodeMask(_ path: String) throws -> Raster {
    try picture(from: readFile(path), named: path).inGrey()
  }

  /// Whether a file of this name is taken for a picture.
  public static func isPicture(_ name: String) -> Bool {
    guard let point = name.lastIndex(of: ".") else { return false }
    return extensions.contains(String(name[point...].dropFirst()).lowercased())
  }

  /// What the names of pictures end in, behind the point.
  public static let extensions = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp"]

  /// A picture of more pixels is refused before memory is taken for it.
  static let mostPixels = Int(IMAGE_CODEC_MAX_PIXELS)

  /// The picture that a file's bytes hold, with the channels that they have, grey or color.
  static func picture(from bytes: [UInt8], named path: String) throws -> Raster {
    guard !bytes.isEmpty else { throw Failure(.badData, "\(path): the file is empty") }
    let isWebP = bytes.starts(with: "RIFF".utf8) && bytes.dropFirst(8).starts(with: "WEBP".utf8)
    let decoded =
      switch bytes.prefix(4) {
      case [0x89, 0x50, 0x4E, 0x47]: try decode(bytes, path, "PNG", image_codec_decode_png)
      case let start where start.starts(with: [0xFF, 0xD8, 0xFF]):
        try decode(bytes, path, "JPEG", image_codec_decode_jpeg)
      // Little and big endian; 43 has room for more than 4 GiB.
      case [0x49, 0x49, 42, 0], [0x4D, 0x4D, 0, 42], [0x49, 0x49, 43, 0], [0x4D, 0x4D, 0, 43]:
        try decode(bytes, path, "TIFF", image_codec_decode_tiff)
      case _ where isWebP: try decode(bytes, path, "WebP", image_codec_decode_webp)
      case let start where start.starts(with: "BM".utf8): try BitmapFile.decode(bytes, named: path)
      default:
        throw Failure(
          .badData, "\(path): not a picture in PNG, JPEG, TIFF, BMP or WebP",
          hint: "convert it to PNG, or move it out of the folder")
      }
    return decoded.overBlack().upright(decoded.orientation ?? ExifOrientation(ofFile: bytes))
  }

  private static func decode(
    _ bytes: [UInt8], _ path: String, _ kind: String, _ decoder: Decoder
  ) throws -> DecodedPicture {
    var raster = image_codec_raster()
    var error = image_codec_error()
    guard decoder(bytes, bytes.count, &raster, &error) == 1 else { throw undecodable(path, kind, error.message) }
    defer { free(raster.pixels) }
    let (width, height, channels) = (Int(raster.width), Int(raster.height), Int(raster.channels))
    return DecodedPicture(
      width: width, height: height, channels: channels,
      pixels: Array(UnsafeBufferPointer(start: raster.pixels, count: width * height * channels)),
      orientation: raster.orientation == 0 ? nil : ExifOrientation(rawValue: raster.orientation) ?? .upright)
  }

  static func undecodable(_ path: String, _ kind: String, _ reason: String, hint: String? = nil) -> Failure {
    Failure(
      .badData, "\(path): the \(kind) picture cannot be decoded: \(reason)",
      hint: hint ?? "the file is damaged or cut off: copy it again")
  }

  private typealias Decoder = (
    UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<image_codec_raster>?, UnsafeMutablePointer<image_codec_error>?
  ) -> Int32
}

/// What a decoder makes of a file.
struct DecodedPicture {
  let width: Int
  let height: Int
  /// 1 (grey) or 3 (red, green, blue), and one more where there is alpha.
  let channels: Int
  let pixels: [UInt8]
  /// Nil where the decoder does not know it.
  var orientation: ExifOrientation?

  /// What is transparent becomes black, in part or as a whole.
  func overBlack() -> Raster {
    let hasAlpha = channels % 2 == 0
    let colors = hasAlpha ? channels - 1 : channels
    guard hasAlpha else { return Raster(width: width, height: height, channels: colors, pixels: pixels) }
    let opaque = [UInt8](unsafeUninitializedCapacity: width * height * colors) { target, count in
      for pixel in 0..<width * height {
        let alpha = UInt16(pixels[pixel * channels + colors])
        for color in 0..<colors {
          target[pixel * colors + color] = UInt8((UInt16(pixels[pixel * channels + color]) * alpha + 127) / 255)
        }
      }
      count = width * height * colors
    }
    return Raster(width: width, height: height, channels: colors, pixels: opaque)
  }
}

extension Raster {
  /// The picture as the bytes of a PNG file.
  /// - Throws: `Failure` of `.noMemory` where memory runs out, of `.internalError` where the format has no such pictures.
  public func encodedPNG() throws -> [UInt8] {
    try encoded("PNG") { image_codec_encode_png(pixels, UInt32(width), UInt32(height), UInt32(channels), &$0, &$1) }
  }

  /// The picture as the bytes of a JPEG file.
  /// - Parameter quality: from 1 to 100.
  /// - Throws: `Failure` of `.noMemory` where memory runs out, of `.internalError` where the format has no such pictures.
  public func encodedJPEG(quality: Int = 85) throws -> [UInt8] {
    try encoded("JPEG") {
      image_codec_encode_jpeg(pixels, UInt32(width), UInt32(height), UInt32(channels), Int32(quality), &$0, &$1)
    }
  }

  private func encoded(
    _ kind: String, by encoder: (inout image_codec_buffer, inout image_codec_error) -> Int32
  ) throws -> [UInt8] {
    var buffer = image_codec_buffer()
    var error = image_codec_error()
    guard encoder(&buffer, &error) == 1 else {
      throw Failure(
        error.message == "out of memory" ? .noMemory : .internalError,
        "a picture of \(width) x \(height) cannot be written as \(kind): \(error.message)")
    }
    defer { free(buffer.bytes) }
    return Array(UnsafeBufferPointer(start: buffer.bytes, count: buffer.count))
  }

  /// Writes the picture as a PNG file that is there whole or not at all.
  /// - Throws: `Failure` of `.inputOutput`.
  public func writePNG(to path: String) throws {
    try writeFile(path, bytes: encodedPNG())
  }
}

extension image_codec_error {
  fileprivate var message: String {
    withUnsafeBytes(of: text) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
