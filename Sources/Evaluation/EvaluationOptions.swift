import Imagery
import Metrics
import Scoring

/// What an evaluation is told.
public struct EvaluationOptions: Sendable {
  public var detector: DetectorOptions
  public var threshold: ThresholdChoice
  public var dataSet: DataSet
  /// What the data set is called in reports.
  public var dataName: String
  public var category: String?
  /// Where the results go.
  public var output: String
  /// What the pixels' scores may take in a rank's memory while they are sorted, in bytes.
  package var pixelMemory = TestScoring.pixelMemory

  public init(
    _ detector: DetectorOptions, threshold: ThresholdChoice = .falseAlarmRate(0.01), dataSet: DataSet,
    dataName: String, category: String? = nil, output: String
  ) {
    self.detector = detector
    self.threshold = threshold
    self.dataSet = dataSet
    self.dataName = dataName
    self.category = category
    self.output = output
  }
}
