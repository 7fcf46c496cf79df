import Metrics

/// What an evaluation is told.
public struct EvaluationOptions: Sendable {
  public var detector: DetectorOptions
  public var threshold: ThresholdChoice
  /// Folder of the data set; pictures lie in `data/category/test/KIND`, or in `data/test/KIND` without a category.
  public var data: String
  public var category: String?
  /// Where the results go.
  public var output: String
  /// What the pixels' scores may take in a rank's memory while they are sorted, in bytes.
  package var pixelMemory = 256 << 20

  public init(
    _ detector: DetectorOptions, threshold: ThresholdChoice = .falseAlarmRate(0.01), data: String,
    category: String? = nil, output: String
  ) {
    self.detector = detector
    self.threshold = threshold
    self.data = data
    self.category = category
    self.output = output
  }
}
