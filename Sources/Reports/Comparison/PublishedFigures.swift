import Metrics

/// What the paper reports for MVTec AD, with WideResNet-50-2 at 256 pixels.
/// Source: H. Deng, X. Li, CVPR 2022, tables 1 and 2.
enum PublishedFigures {
  static let name = "paper"

  /// In percent, by category: image AUROC, pixel AUROC, PRO.
  private static let table: [String: (image: Double, pixel: Double, overlap: Double)] = [
    "carpet": (98.9, 98.9, 97.0), "grid": (100, 99.3, 97.6), "leather": (100, 99.4, 99.1), "tile": (99.3, 95.6, 90.6),
    "wood": (99.2, 95.3, 90.9), "bottle": (100, 98.7, 96.6), "cable": (95.0, 97.4, 91.0), "capsule": (96.3, 98.7, 95.8),
    "hazelnut": (99.9, 98.9, 95.5), "metal_nut": (100, 97.3, 92.3), "pill": (96.6, 98.2, 96.4),
    "screw": (97.0, 99.6, 98.2), "toothbrush": (99.5, 99.1, 94.5), "transistor": (96.7, 92.5, 78.0),
    "zipper": (98.5, 98.2, 95.4),
  ]

  static var categories: Set<String> { Set(table.keys) }

  static func value(of measure: ComparedMeasure, category: String) -> Double? {
    guard let row = table[category] else { return nil }
    switch measure {
    case .imageAUROC: return row.image / 100
    case .pixelAUROC: return row.pixel / 100
    // The released code computes its PRO image by image.
    case .auproReference: return row.overlap / 100
    case .imageAP, .imageF1Max, .pixelAP, .aupro: return nil
    }
  }
}
