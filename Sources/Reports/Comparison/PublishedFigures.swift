/// What the paper reports for MVTec AD, with WideResNet-50-2 at 256 pixels: means over all categories.
/// Source: H. Deng, X. Li, CVPR 2022, tables 1 and 2.
enum PublishedFigures {
  static let name = "paper"

  static let categories = CategoryTable.textures + CategoryTable.objects

  static func mean(of measure: ComparedMeasure) -> Double? {
    switch measure {
    case .imageAUROC: 0.985
    case .pixelAUROC: 0.978
    // The released code computes its PRO image by image.
    case .auproReference: 0.939
    case .imageAP, .imageF1Max, .pixelAP, .aupro: nil
    }
  }
}
