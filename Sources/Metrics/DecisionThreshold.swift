import Diagnostics

/// Which threshold is wanted.
public enum ThresholdChoice: Sendable, Equatable {
  /// The lowest that a share of the normal images reaches, at the most.
  case falseAlarmRate(Double)
  case given(Double)
  /// That of the best F1 on the labels of the test set. What is then measured on this set is too good.
  case f1OfTestLabels
}

/// How often something happened, with the exact 95 % confidence interval of its rate.
public struct ObservedRate: Encodable, Sendable, Equatable {
  public let count: Int
  public let of: Int
  public let rate: Double
  public let interval: ClosedRange<Double>

  /// Nil where it could not have happened.
  public init?(_ count: Int, of trials: Int) {
    guard trials > 0 else { return nil }
    self.count = count
    of = trials
    rate = Double(count) / Double(trials)
    interval = binomialInterval(count, of: trials)
  }

  private enum CodingKeys: String, CodingKey { case count, of, rate, interval }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(count, forKey: .count)
    try container.encode(of, forKey: .of)
    try container.encode(rate, forKey: .rate)
    try container.encode([interval.lowerBound, interval.upperBound], forKey: .interval)
  }
}

/// The score from which on an image is called anomalous, and what is known of it.
public struct DecisionThreshold: Sendable, Equatable {
  public enum Source: String, Encodable, Sendable {
    case normalImages = "normal images"
    case given
    case f1OfTestLabels = "F1-max of the test labels"
  }

  /// What normal images say of the threshold.
  public struct FalseAlarms: Sendable, Equatable {
    /// How many normal images there are to judge by.
    public let images: Int
    /// Whether they were kept from training. Those that were trained on score lower than others: then there are more false alarms than said.
    public let areHeldOut: Bool
    /// The expected rate: the p-value of the threshold.
    public let rate: Double
    /// The exact 95 % confidence interval of the rate.
    public let interval: ClosedRange<Double>
  }

  public let value: Double
  public let source: Source
  /// Nil where the threshold comes from elsewhere.
  public let wantedRate: Double?
  /// Nil where no normal images were scored.
  public let falseAlarms: FalseAlarms?

  /// - Parameters:
  ///   - normal: nil where no normal images were scored.
  ///   - f1: `RankedScores.f1Max` of the test set.
  /// - Returns: nil where there is nothing to find the threshold from.
  public init?(_ choice: ThresholdChoice, normal: NormalScores?, areHeldOut: Bool, f1: Double? = nil) {
    switch choice {
    case .falseAlarmRate(let rate):
      guard let normal else { return nil }
      (value, source, wantedRate) = (normal.threshold(falseAlarmRate: rate), .normalImages, rate)
    case .given(let score):
      (value, source, wantedRate) = (score, .given, nil)
    case .f1OfTestLabels:
      guard let f1 else { return nil }
      (value, source, wantedRate) = (f1, .f1OfTestLabels, nil)
    }
    let (value, isRanked) = (value, source == .normalImages)
    falseAlarms = normal.map { normal in
      FalseAlarms(
        images: normal.count, areHeldOut: areHeldOut, rate: normal.pValue(of: value),
        interval: isRanked
          ? normal.rateInterval(ofRankedThreshold: value) : normal.rateInterval(ofGivenThreshold: value))
    }
  }

  public func isReached(by score: Double) -> Bool { score >= value }
}

/// What a threshold does on a labelled set.
public struct VerdictSummary: Encodable, Sendable, Equatable {
  public let threshold: DecisionThreshold
  /// Normal images that reach the threshold; nil where there are none.
  public let falseAlarms: ObservedRate?
  /// Anomalous images that reach it; nil where there are none.
  public let detections: ObservedRate?
  /// Of each kind of defect.
  public let detectionsByDefect: [String: ObservedRate]

  public init(_ threshold: DecisionThreshold, images: [ImageResult]) {
    self.threshold = threshold
    func rate(_ images: [ImageResult]) -> ObservedRate? {
      ObservedRate(images.count { threshold.isReached(by: $0.score) }, of: images.count)
    }
    falseAlarms = rate(images.filter { $0.defect == nil })
    detections = rate(images.filter { $0.defect != nil })
    detectionsByDefect = Dictionary(grouping: images.filter { $0.defect != nil }) { $0.defect ?? "" }
      .compactMapValues(rate)
  }

  private enum CodingKeys: String, CodingKey {
    case threshold, source, detections
    case wantedRate = "wanted_false_alarm_rate"
    case normalImages = "normal_images"
    case areHeldOut = "normal_images_held_out"
    case expectedRate = "expected_false_alarm_rate"
    case expectedInterval = "expected_false_alarm_rate_interval"
    case falseAlarms = "false_alarms"
    case detectionsByDefect = "detections_per_defect"
  }

  /// Writes what is nil, as null.
  public func encode(to encoder: any Encoder) throws {
    let expected = threshold.falseAlarms
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(threshold.value, forKey: .threshold)
    try container.encode(threshold.source, forKey: .source)
    try container.encode(threshold.wantedRate, forKey: .wantedRate)
    try container.encode(expected?.images, forKey: .normalImages)
    try container.encode(expected?.areHeldOut, forKey: .areHeldOut)
    try container.encode(expected?.rate, forKey: .expectedRate)
    try container.encode(expected.map { [$0.interval.lowerBound, $0.interval.upperBound] }, forKey: .expectedInterval)
    try container.encode(falseAlarms, forKey: .falseAlarms)
    try container.encode(detections, forKey: .detections)
    try container.encode(detectionsByDefect, forKey: .detectionsByDefect)
  }
}
