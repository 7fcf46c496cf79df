import Diagnostics

/// A test image after scoring.
public struct ScoredImage: Sendable {
  /// The image's anomaly score.
  public var score: Double
  /// The kind of its defect (the name of its folder); nil for a normal image.
  public var defect: String?
  /// Its anomaly map, row by row.
  public var map: [Float]
  /// Its defect pixels, row by row. Nil means none for a normal image and unknown for an anomalous one, which the pixel
  /// metrics then leave out.
  public var mask: [Bool]?

  public init(score: Double, defect: String?, map: [Float], mask: [Bool]?) {
    self.score = score
    self.defect = defect
    self.map = map
    self.mask = mask
  }
}

/// A test image as the image metrics see it.
public struct ImageResult: Sendable {
  /// The image's anomaly score.
  public var score: Double
  /// The kind of its defect (the name of its folder); nil for a normal image.
  public var defect: String?
  /// `ReferenceOverlap.area` of an anomalous image, which may be nil itself; nil where there is no mask.
  public var referenceArea: Double??

  public init(score: Double, defect: String?, referenceArea: Double??) {
    self.score = score
    self.defect = defect
    self.referenceArea = referenceArea
  }
}

/// The metrics of a whole test set, and of each kind of defect against all normal images.
public struct Evaluation: Sendable {
  public let overall: DetectionMetrics
  /// By the defect's name.
  public let byDefect: [String: DetectionMetrics]
  /// The image scores' ROC curve for plotting; nil when a class is missing.
  public let imageROC: [CurvePoint]?
  /// The image scores' precision-recall curve for plotting; nil when a class is missing.
  public let imagePrecisionRecall: [CurvePoint]?
  /// The pixels' measures and curves over the whole set; nil when a class is missing or no mask is known.
  public let pixels: PixelMetrics?

  /// From images that are all in memory.
  /// - Parameters:
  ///   - images: The test set. Its order changes no bit of the result.
  ///   - width: Columns of every map and mask.
  ///   - height: Their rows.
  /// - Throws: `Failure` for a score that is not finite and for a wrong size.
  public init(images: [ScoredImage], width: Int, height: Int) throws {
    let kinds = Set(images.compactMap(\.defect)).sorted()
    var parts = [PixelScores](repeating: PixelScores(width: width, height: height), count: kinds.count + 1)
    for image in images where image.defect == nil || image.mask != nil {
      let part = image.defect.flatMap(kinds.firstIndex(of:)).map { $0 + 1 } ?? 0
      try parts[part].add(map: image.map, mask: image.mask)
    }
    let results = try images.map { image in
      ImageResult(
        score: image.score, defect: image.defect,
        referenceArea: image.defect == nil
          ? nil
          : try image.mask.map { try ReferenceOverlap.area(map: image.map, mask: $0, width: width, height: height) })
    }
    let census = PixelCensus(background: parts.map(\.backgroundCount), areas: parts.map(\.areas))
    var integrals = TestSetIntegrals(census, fprLimit: PixelMetrics.usualLimit)
    integrals.add(parts.map { $0.sorted() })
    try self.init(images: results, kinds: kinds, pixels: integrals.metrics())
  }

  /// From images that may be spread over several machines, and the metrics of their pixels.
  /// - Parameters:
  ///   - images: The test set. Its order changes no bit of the result.
  ///   - kinds: The kinds of defects.
  ///   - pixels: Of the whole set, then of each kind with the normal images, as `PixelStore.metrics` gives them.
  /// - Throws: `Failure` for a score that is not finite.
  public init(images: [ImageResult], kinds: [String], pixels: [PixelMetrics?]) throws {
    let normal = images.filter { $0.defect == nil }

    func measure(_ pixels: PixelMetrics?, _ anomalous: [ImageResult]) throws -> (DetectionMetrics, RankedScores) {
      let ranked = try RankedScores(
        scores: anomalous.map(\.score) + normal.map(\.score),
        labels: anomalous.map { _ in true } + normal.map { _ in false })
      let reference = ReferenceOverlap(areas: anomalous.compactMap(\.referenceArea))
      return (DetectionMetrics(images: ranked, pixels: pixels, reference: reference), ranked)
    }

    let (overall, ranked) = try measure(pixels[0], images.filter { $0.defect != nil })
    self.overall = overall
    self.pixels = pixels[0]
    imageROC = ranked.roc
    imagePrecisionRecall = ranked.precisionRecall
    byDefect = try Dictionary(
      zip(kinds, pixels.dropFirst()).map { kind, pixels in
        (kind, try measure(pixels, images.filter { $0.defect == kind }).0)
      },
      uniquingKeysWith: { first, _ in first })
  }
}
