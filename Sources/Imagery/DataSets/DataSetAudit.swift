import Diagnostics
import FileSystem

/// What a data set holds, or one category of it, and what is wrong with it. All of its files are read.
public struct DataSetAudit: Sendable, Encodable {
  /// How many pictures have a size, in pixels.
  public struct Size: Sendable, Equatable, Encodable {
    public let width: Int
    public let height: Int
    public var count: Int
  }

  /// Pictures whose files are equal, byte by byte.
  public struct Duplicates: Sendable, Equatable, Encodable {
    public let images: [String]
    /// Whether some of them are trained on and others tested with, which makes the test too good.
    public let areTrainedOnAndTested: Bool

    private enum CodingKeys: String, CodingKey {
      case images
      case areTrainedOnAndTested = "trained_on_and_tested"
    }
  }

  public let category: String?
  /// Normal pictures to train on.
  public let training: Int
  /// Normal pictures to test with.
  public let testNormal: Int
  /// Anomalous pictures of each kind.
  public let testAnomalous: [String: Int]
  /// The most frequent first.
  public let sizes: [Size]
  public let unreadable: [UnreadableImage]
  public let duplicates: [Duplicates]
  /// Anomalous pictures whose defects nobody has marked.
  public let imagesWithoutMasks: [String]
  public let masksWithoutImages: [String]
  /// Masks that cannot be read, have another size than their picture, or mark nothing.
  public let unusableMasks: [UnreadableImage]
  /// Why a part of the data set is missing as a whole.
  public let missing: [String]

  private enum CodingKeys: String, CodingKey {
    case category, training, sizes, unreadable, duplicates, missing
    case testNormal = "test_normal"
    case testAnomalous = "test_anomalous"
    case imagesWithoutMasks = "images_without_masks"
    case masksWithoutImages = "masks_without_images"
    case unusableMasks = "unusable_masks"
  }

  /// - Parameter progress: told how many of the pictures are read.
  /// - Throws: `Failure` where there is nothing to train on and nothing to test with.
  public init(
    of dataSet: DataSet, category: String? = nil, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws {
    self.category = category
    var (missing, unreadable): ([Failure], [UnreadableImage]) = ([], [])
    func found<Part>(_ part: () throws -> Part) throws -> Part? {
      do {
        return try part()
      } catch let failure as Failure {
        missing.append(failure)
        return nil
      }
    }
    let manifest = try found { try dataSet.training(category: category, skipsUnreadable: true) }
    let test = try found { try dataSet.test(category: category) } ?? []
    if manifest == nil, test.isEmpty, let first = missing.first { throw first }
    let images = manifest?.images ?? []
    unreadable += manifest?.unreadable ?? []
    self.missing = missing.map(\.message)

    var sizes: [SIMD2<Int>: Int] = [:]
    var sizeOfImage: [String: SIMD2<Int>] = [:]
    var copies: [String: [(name: String, isTrainedOn: Bool)]] = [:]
    let all = images.map { ($0, true) } + test.map { ($0.image, false) }
    for (number, (image, isTrainedOn)) in all.enumerated() {
      do {
        let bytes = try readFile(image.path)
        copies[SHA256.hexDigest(of: bytes), default: []].append((image.relativePath, isTrainedOn))
        let picture = try ImageFile.picture(from: bytes, named: image.path)
        let size = SIMD2(picture.width, picture.height)
        sizes[size, default: 0] += 1
        sizeOfImage[image.path] = size
      } catch let failure as Failure {
        unreadable.append(UnreadableImage(image: image.relativePath, reason: failure.message))
      }
      progress(number + 1, all.count)
    }
    training = images.count
    testNormal = test.count { !$0.isAnomalous }
    testAnomalous = Dictionary(grouping: test.filter(\.isAnomalous), by: \.kind).mapValues(\.count)
    self.sizes = sizes.map { Size(width: $0.x, height: $0.y, count: $1) }.sorted {
      ($1.count, $0.width, $0.height) < ($0.count, $1.width, $1.height)
    }
    self.unreadable = unreadable
    duplicates = copies.values.filter { $0.count > 1 }.map { copies in
      Duplicates(
        images: copies.map(\.name).sorted(by: precedesInBytes),
        areTrainedOnAndTested: Set(copies.map(\.isTrainedOn)).count > 1)
    }.sorted { precedesInBytes($0.images[0], $1.images[0]) }

    let anomalous = test.filter(\.isAnomalous)
    imagesWithoutMasks = anomalous.filter { $0.maskPath == nil }.map(\.image.relativePath)
    let known = Set(anomalous.compactMap(\.maskPath))
    masksWithoutImages = test.isEmpty ? [] : try dataSet.masks(category: category).filter { !known.contains($0) }
    unusableMasks = anomalous.compactMap { entry in
      entry.maskPath.flatMap { path in
        Self.fault(ofMask: path, imageSize: sizeOfImage[entry.image.path]).map {
          UnreadableImage(image: entry.image.relativePath, reason: $0)
        }
      }
    }
  }

  private static func fault(ofMask path: String, imageSize: SIMD2<Int>?) -> String? {
    do {
      let mask = try ImageFile.decodeMask(path)
      if let size = imageSize, size != SIMD2(mask.width, mask.height) {
        return "\(path): \(mask.width) x \(mask.height) pixels, the image \(size.x) x \(size.y)"
      }
      return mask.withMarksInWhite().binaryMask().contains(true) ? nil : "\(path): marks nothing"
    } catch {
      return (error as? Failure)?.message ?? "\(error)"
    }
  }

  /// Lines for a reader.
  public var text: String {
    let anomalous = testAnomalous.values.reduce(0, +)
    let tested = testNormal + anomalous
    let kinds = testAnomalous.sorted { precedesInBytes($0.key, $1.key) }.map { "\($0) \($1)" }
    var rows = [["to train on", "\(training) normal"]]
    rows.append(["to test with", "\(testNormal) normal, \(anomalous) anomalous"])
    if anomalous > 0 {
      rows[1][1] += " (\(100 * anomalous / tested) %): \(kinds.joined(separator: ", "))"
    }
    func add(_ name: String, _ findings: [String]) {
      rows.append([name, findings.first ?? "none"])
      rows += findings.dropFirst().map { ["", $0] }
    }
    add("sizes", sizes.map { "\($0.width) x \($0.height): \($0.count)" })
    add("unreadable", unreadable.map(\.reason))
    func copies(_ acrossParts: Bool) -> [String] {
      duplicates.filter { $0.areTrainedOnAndTested == acrossParts }.map { $0.images.joined(separator: " = ") }
    }
    add("trained on and tested", copies(true))
    add("other duplicates", copies(false))
    add("images without masks", imagesWithoutMasks)
    add("masks without images", masksWithoutImages)
    add("unusable masks", unusableMasks.map { "\($0.image): \($0.reason)" })
    if !missing.isEmpty { add("missing", missing) }
    return ((category.map { [$0] } ?? []) + alignedColumns(rows)).joined(separator: "\n")
  }
}
