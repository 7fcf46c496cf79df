import CZlib
import Diagnostics
import FileSystem
import Glibc

/// Pictures of several classes, in one of the layouts of classification data sets: IDX (MNIST, Fashion-MNIST), CIFAR-10's binary files, or a
/// folder of pictures for each class (Caltech-256).
public struct LabelledPictures: Sendable {
  /// A picture, as it is to be written: the bytes of a file, and what its name ends in.
  typealias File = (bytes: [UInt8], ending: String)

  struct Picture: Sendable {
    let label: Int
    /// Nil where the layout does not say.
    let isForTraining: Bool?
    let file: @Sendable () throws -> File
  }

  public let classes: [String]
  let pictures: [Picture]
  /// Whether the layout says which pictures are for training.
  public var isSplit: Bool { pictures.allSatisfy { $0.isForTraining != nil } }

  /// Reads what the folder holds.
  /// - Throws: `Failure` of `.badData` where it is none of the layouts or damaged, of `.inputOutput` where it cannot be read.
  public init(at folder: String) throws {
    let names = try namesInFolder(folder)
    if names.contains(where: { $0.contains("-images-idx3-ubyte") }) {
      self = try Self.idx(folder, names)
    } else if names.contains(where: { $0.hasSuffix("_batch.bin") || $0.hasPrefix("data_batch_") }) {
      self = try Self.cifar(folder, names)
    } else {
      self = try Self.folders(folder, names)
    }
    guard !pictures.isEmpty else { throw Failure(.badData, "\(folder): holds no pictures") }
  }

  private init(classes: [String], pictures: [Picture]) {
    self.classes = classes
    self.pictures = pictures
  }

  // MARK: IDX

  private static func idx(_ folder: String, _ names: [String]) throws -> LabelledPictures {
    var pictures: [Picture] = []
    for name in names.filter({ $0.contains("-images-idx3-ubyte") }) {
      let labelsName = name.replacing("-images-idx3-", with: "-labels-idx1-")
      let other = labelsName.hasSuffix(".gz") ? String(labelsName.dropLast(3)) : labelsName + ".gz"
      let labels = try idxValues("\(folder)/\(names.contains(other) ? other : labelsName)", dimensions: 1)
      let images = try idxValues("\(folder)/\(name)", dimensions: 3)
      guard images.shape[0] == labels.shape[0] else {
        throw Failure(.badData, "\(folder)/\(name): \(images.shape[0]) pictures have \(labels.shape[0]) labels")
      }
      // The test set alone is split like a set that has no split.
      let isTraining = names.contains { $0.hasPrefix("train-images") } ? name.hasPrefix("train") : nil
      let (height, width) = (images.shape[1], images.shape[2])
      guard height > 0, width > 0 else { throw Failure(.badData, "\(folder)/\(name): pictures without pixels") }
      let bytes = images.values
      for (number, label) in labels.values.enumerated() {
        pictures.append(
          Picture(label: Int(label), isForTraining: isTraining) {
            let pixels = Array(bytes[number * width * height..<(number + 1) * width * height])
            return (try Raster(width: width, height: height, channels: 1, pixels: pixels).encodedPNG(), "png")
          })
      }
    }
    let count = (pictures.map(\.label).max() ?? -1) + 1
    return LabelledPictures(classes: (0..<count).map { "\($0)" }, pictures: pictures)
  }

  /// The unsigned bytes of an IDX file, which may be compressed.
  private static func idxValues(_ path: String, dimensions: Int) throws -> (shape: [Int], values: [UInt8]) {
    let bytes = try readCompressed(path)
    let header = 4 + 4 * dimensions
    guard bytes.count >= header, bytes[0] == 0, bytes[1] == 0, bytes[2] == 8, Int(bytes[3]) == dimensions else {
      throw Failure(.badData, "\(path): not an IDX file of bytes with \(dimensions) dimensions")
    }
    let shape = (1...dimensions).map { place in bytes[4 * place..<4 * place + 4].reduce(0) { $0 << 8 | Int($1) } }
    let (count, overflows) = shape.reduce((1, false)) { product, size in
      let (count, overflows) = product.0.multipliedReportingOverflow(by: size)
      return (count, product.1 || overflows)
    }
    guard !overflows, bytes.count == header + count else {
      throw Failure(
        .badData,
        "\(path): \(bytes.count - header) bytes where \(shape.map(String.init).joined(separator: " x ")) are expected",
        hint: "the file is damaged or its copy incomplete: fetch it again")
    }
    return (shape, Array(bytes[header...]))
  }

  // MARK: CIFAR-10

  private static func cifar(_ folder: String, _ names: [String]) throws -> LabelledPictures {
    let (side, channels) = (32, 3)
    let size = 1 + channels * side * side
    let listed = names.contains("batches.meta.txt") ? try readFile("\(folder)/batches.meta.txt") : []
    let classes = String(decoding: listed, as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
    var pictures: [Picture] = []
    for name in names where name.hasSuffix("_batch.bin") || name.hasPrefix("data_batch_") {
      let bytes = try readFile("\(folder)/\(name)")
      guard !bytes.isEmpty, bytes.count % size == 0 else {
        throw Failure(
          .badData, "\(folder)/\(name): \(bytes.count) bytes are no pictures of \(size) bytes each",
          hint: "expected are the binary files of CIFAR-10")
      }
      for start in stride(from: 0, to: bytes.count, by: size) {
        pictures.append(
          Picture(label: Int(bytes[start]), isForTraining: name.hasPrefix("data_batch_")) {
            // The planes of red, green and blue follow each other.
            let pixels = (0..<side * side).flatMap { pixel in
              (0..<channels).map { bytes[start + 1 + $0 * side * side + pixel] }
            }
            return (try Raster(width: side, height: side, channels: channels, pixels: pixels).encodedPNG(), "png")
          })
      }
    }
    let count = max((pictures.map(\.label).max() ?? -1) + 1, classes.count)
    return LabelledPictures(
      classes: (0..<count).map { $0 < classes.count ? classes[$0] : "\($0)" }, pictures: pictures)
  }

  // MARK: Folders

  private static func folders(_ folder: String, _ names: [String]) throws -> LabelledPictures {
    let classes = names.filter { isFolder("\(folder)/\($0)") }
    guard !classes.isEmpty else {
      throw Failure(
        .badData, "\(folder): neither IDX files, nor CIFAR-10's binary files, nor a folder for each class",
        hint:
          "expected are *-images-idx3-ubyte and *-labels-idx1-ubyte, data_batch_*.bin and test_batch.bin, or CLASS/*.jpg"
      )
    }
    let pictures = try classes.enumerated().flatMap { label, name in
      try namesInFolder("\(folder)/\(name)").compactMap { file -> Picture? in
        let ending = file.split(separator: ".").last.map { $0.lowercased() } ?? ""
        guard ImageFile.isPicture(file) else { return nil }
        return Picture(label: label, isForTraining: nil) { (try readFile("\(folder)/\(name)/\(file)"), ending) }
      }
    }
    return LabelledPictures(classes: classes, pictures: pictures)
  }
}

/// The bytes of a file, uncompressed where it is a gzip file.
private func readCompressed(_ path: String) throws -> [UInt8] {
  // Says what is wrong with the file; gzopen does not.
  _ = try OpenFile(reading: path)
  guard let file = gzopen(path, "rb") else { throw Failure(.inputOutput, "\(path): cannot be read") }
  defer { gzclose(file) }
  var bytes: [UInt8] = []
  var piece = [UInt8](repeating: 0, count: 1 << 20)
  while true {
    let count = gzread(file, &piece, UInt32(piece.count))
    guard count >= 0 else {
      throw Failure(.badData, "\(path): damaged", hint: "the copy is incomplete: fetch it again")
    }
    if count == 0 { break }
    bytes += piece[..<Int(count)]
  }
  var status: Int32 = 0
  gzerror(file, &status)
  // A file that ends too early reads as a short one.
  guard status == Z_OK || status == Z_STREAM_END else {
    throw Failure(.badData, "\(path): damaged", hint: "the copy is incomplete: fetch it again")
  }
  return bytes
}
