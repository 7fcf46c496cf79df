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

/// The quality of anomaly detection on one set of images. A measure is nil (null in JSON) where the set does not define
/// it: one class is missing, or no masks are known.
public struct DetectionMetrics: Codable, Sendable, Equatable {
  public var imageAUROC: Double?
  public var imageAP: Double?
  public var imageF1Max: Double?
  /// The image score at and above which F1 is largest.
  public var imageF1MaxThreshold: Double?
  public var pixelAUROC: Double?
  public var pixelAP: Double?
  /// MVTec's definition, see `PixelMetrics.aupro`.
  public var aupro: Double?
  /// The method's authors' definition, see `ReferenceOverlap`.
  public var auproReference: Double?
  /// Anomalous images with a mask that `auproReference` had to leave out.
  public var auproReferenceSkipped: Int

  private enum CodingKeys: String, CodingKey {
    case imageAUROC = "image_auroc"
    case imageAP = "image_ap"
    case imageF1Max = "image_f1max"
    case imageF1MaxThreshold = "image_f1max_threshold"
    case pixelAUROC = "pixel_auroc"
    case pixelAP = "pixel_ap"
    case aupro
    case auproReference = "aupro_reference"
    case auproReferenceSkipped = "aupro_reference_skipped"
  }

  /// Unlike the synthesized encoding, this one writes what is nil, as null.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(imageAUROC, forKey: .imageAUROC)
    try container.encode(imageAP, forKey: .imageAP)
    try container.encode(imageF1Max, forKey: .imageF1Max)
    try container.encode(imageF1MaxThreshold, forKey: .imageF1MaxThreshold)
    try container.encode(pixelAUROC, forKey: .pixelAUROC)
    try container.encode(pixelAP, forKey: .pixelAP)
    try container.encode(aupro, forKey: .aupro)
    try container.encode(auproReference, forKey: .auproReference)
    try container.encode(auproReferenceSkipped, forKey: .auproReferenceSkipped)
  }

  fileprivate init(images: RankedScores, pixels: PixelMetrics?, reference: ReferenceOverlap) {
    imageAUROC = images.auroc
    imageAP = images.averagePrecision
    imageF1Max = images.f1Max?.value
    imageF1MaxThreshold = images.f1Max?.threshold
    pixelAUROC = pixels?.auroc
    pixelAP = pixels?.averagePrecision
    aupro = pixels?.aupro
    auproReference = reference.value
    auproReferenceSkipped = reference.skipped
  }
}

/// The metrics of a whole test set, and of each kind of defect against all normal images.
public struct Evaluation: Sendable {
  public let overall: DetectionMetrics
  /// By the defect's name.
  public let byDefect: [String: DetectionMetrics]
  /// The image scores' ROC curve for plotting; nil when a class is missing.
  public let imageROC: [CurvePoint]?
  /// The pixels' measures and curves over the whole set; nil when a class is missing or no mask is known.
  public let pixels: PixelMetrics?

  /// - Parameters:
  ///   - images: The test set. Its order changes no bit of the result.
  ///   - width: Columns of every map and mask.
  ///   - height: Their rows.
  /// - Throws: `Failure` for a score that is not finite and for a wrong size.
  public init(images: [ScoredImage], width: Int, height: Int) throws {
    let anomalous = images.filter { $0.defect != nil }
    let normal = images.filter { $0.defect == nil }
    var normalPixels = PixelScores(width: width, height: height)
    for image in normal { try normalPixels.add(map: image.map, mask: image.mask) }
    let referenceAreas = try anomalous.map { image in
      try image.mask.map { try ReferenceOverlap.area(map: image.map, mask: $0, width: width, height: height) }
    }

    func measure(_ includes: (ScoredImage) -> Bool) throws -> (DetectionMetrics, RankedScores, PixelMetrics?) {
      let chosen = anomalous.indices.filter { includes(anomalous[$0]) }
      let ranked = try RankedScores(
        scores: chosen.map { anomalous[$0].score } + normal.map(\.score),
        labels: chosen.map { _ in true } + normal.map { _ in false })
      var scores = normalPixels
      for index in chosen {
        if let mask = anomalous[index].mask { try scores.add(map: anomalous[index].map, mask: mask) }
      }
      let pixels = try PixelMetrics(scores)
      let reference = ReferenceOverlap(areas: chosen.compactMap { referenceAreas[$0] })
      return (DetectionMetrics(images: ranked, pixels: pixels, reference: reference), ranked, pixels)
    }

    let (overall, ranked, pixels) = try measure { _ in true }
    self.overall = overall
    self.pixels = pixels
    imageROC = ranked.roc
    byDefect = try Dictionary(
      Set(anomalous.compactMap(\.defect)).map { defect in (defect, try measure { $0.defect == defect }.0) },
      uniquingKeysWith: { first, _ in first })
  }
}
