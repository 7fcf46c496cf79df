import CImageCodecs
import Diagnostics
import FileSystem
import Glibc

/// Pictures as files: PNG and JPEG, told apart by their first bytes and not by their names.
public enum ImageFile {
  /// Reads a picture in color, as Pillow's `exif_transpose` and `convert("RGB")` give it: upright, alpha dropped, palettes expanded.
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

  /// The picture that a file's bytes hold, with the channels that they have, grey or color.
  static func picture(from bytes: [UInt8], named path: String) throws -> Raster {
    let (decoder, kind): (Decoder, String)
    if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      (decoder, kind) = (image_codec_decode_png, "PNG")
    } else if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
      (decoder, kind) = (image_codec_decode_jpeg, "JPEG")
    } else if bytes.isEmpty {
      throw Failure(.badData, "\(path): the file is empty")
    } else {
      throw Failure(
        .badData, "\(path): neither a PNG nor a JPEG picture", hint: "convert it to PNG, or move it out of the folder")
    }
    var raster = image_codec_raster()
    var error = image_codec_error()
    guard decoder(bytes, bytes.count, &raster, &error) == 1 else {
      throw Failure(
        .badData, "\(path): the \(kind) picture cannot be decoded: \(error.message)",
        hint: "the file is damaged or cut off: copy it again")
    }
    defer { free(raster.pixels) }
    let (width, height, channels) = (Int(raster.width), Int(raster.height), Int(raster.channels))
    return Raster(
      width: width, height: height, channels: channels,
      pixels: Array(UnsafeBufferPointer(start: raster.pixels, count: width * height * channels))
    ).upright(ExifOrientation(ofFile: bytes))
  }

  private typealias Decoder = (
    UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<image_codec_raster>?, UnsafeMutablePointer<image_codec_error>?
  ) -> Int32
}

extension Raster {
  /// The picture as the bytes of a PNG file.
  /// - Throws: `Failure` of `.internalError` where memory runs out.
  public func encodedPNG() throws -> [UInt8] {
    try encoded("PNG") { image_codec_encode_png(pixels, UInt32(width), UInt32(height), UInt32(channels), &$0, &$1) }
  }

  /// The picture as the bytes of a JPEG file.
  /// - Parameter quality: from 1 to 100.
  /// - Throws: `Failure` of `.internalError` where memory runs out.
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
      throw Failure(.internalError, "a picture of \(width) x \(height) cannot be written as \(kind): \(error.message)")
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
