/// The quality of anomaly detection on one set of images. A measure is nil (null in JSON) where the set does not define
/// it: one class is missing, or no masks are known.
public struct DetectionMetrics: Codable, Sendable, Equatable {
  public var imageAUROC: Double?
  public var imageAP: Double?
  public var imageF1Max: Double?
  /// Of the three image metrics, see `ConfidenceInterval`.
  public var imageIntervals: ImageMeasures<ConfidenceInterval>?
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
    case imageIntervals = "image_intervals"
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
    try container.encode(imageIntervals, forKey: .imageIntervals)
    try container.encode(imageF1MaxThreshold, forKey: .imageF1MaxThreshold)
    try container.encode(pixelAUROC, forKey: .pixelAUROC)
    try container.encode(pixelAP, forKey: .pixelAP)
    try container.encode(aupro, forKey: .aupro)
    try container.encode(auproReference, forKey: .auproReference)
    try container.encode(auproReferenceSkipped, forKey: .auproReferenceSkipped)
  }

  init(images: RankedScores, pixels: PixelMetrics?, reference: ReferenceOverlap) {
    imageAUROC = images.auroc
    imageAP = images.averagePrecision
    imageF1Max = images.f1Max?.value
    imageIntervals = images.confidenceIntervals()
    imageF1MaxThreshold = images.f1Max?.threshold
    pixelAUROC = pixels?.auroc
    pixelAP = pixels?.averagePrecision
    aupro = pixels?.aupro
    auproReference = reference.value
    auproReferenceSkipped = reference.skipped
  }
}
