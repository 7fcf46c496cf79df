import Diagnostics
import Foundation
import Metrics
import TestSupport
import Testing

@testable import Reports

@Suite struct ComparisonTests {
  private static let map: [Float] = [0, 1, 2, 3]
  private static let mask = [false, false, false, true]

  /// Writes a test set of 30 normal and 50 anomalous images as rd-eval does.
  private static func write(
    _ folder: String, category: String?, seed: UInt64, distance: Double, noise: Double = 0, part: String = "test"
  ) throws {
    var (random, other) = (SeededGenerator(seed: seed), SeededGenerator(seed: seed + 100))
    let rows = (0..<80).map { index in
      let isAnomalous = index >= 30
      let score = Double.random(in: 0...2, using: &random) + (isAnomalous ? distance : 0)
      let kind = isAnomalous ? "hole" : "good"
      return ScoreTable.Row(
        path: "\(part)/\(kind)/\(index), \"x\".png", kind: kind, isAnomalous: isAnomalous,
        score: score + noise * Double.random(in: -1...1, using: &other), scaleMaxima: [0.5, nil, 1])
    }
    let evaluation = try Evaluation(
      images: rows.map {
        ScoredImage(
          score: $0.score, defect: $0.isAnomalous ? $0.kind : nil, map: map, mask: $0.isAnomalous ? mask : nil)
      }, width: 2, height: 2)
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try ScoreTable.write(rows, to: "\(folder)/scores.csv")
    try EvaluationSummary(
      category: category, checkpoint: "c", step: 1, evaluation: evaluation, images: .init(normal: 30, anomalous: 50),
      scales: "M1", score: "max"
    ).write(to: "\(folder)/metrics.json")
  }

  private func line(_ comparison: Comparison, _ measure: ComparedMeasure, _ category: String) throws -> Comparison.Line
  {
    try #require(comparison.lines.first { $0.measure == measure && $0.category == category })
  }

  @Test func theTableIsReadBackAsItWasWritten() throws {
    let folder = try TemporaryFolder()
    let rows = [
      ScoreTable.Row(
        path: "a,\"b\"\r\nc", kind: "good", isAnomalous: false, score: 0.1 + 0.2, scaleMaxima: [nil, 1, nil]),
      ScoreTable.Row(path: "ü", kind: "", isAnomalous: true, score: -1e-300, scaleMaxima: [nil, nil, nil]),
    ]
    try ScoreTable.write(rows, to: folder("scores.csv"))
    #expect(try ScoreTable.read(from: folder("scores.csv")) == rows)
    for damaged in [
      "", "path,label\n", "path,label,anomalous,score\na,b,2,1\n", "path,label,anomalous,score\na,b,1,nan\n",
      "path,label,anomalous,score\na,b,1\n", "path,label,anomalous,score\n\"a,b,1,1\n",
      "path,label,anomalous,score\n\"a\"x,b,1,1\n",
    ] {
      try damaged.write(toFile: folder("scores.csv"), atomically: false, encoding: .utf8)
      let failure = expectError(Failure.self) { _ = try ScoreTable.read(from: folder("scores.csv")) }
      #expect(failure?.code == .badData && failure?.message.contains("scores.csv: ") == true, "\(damaged)")
    }
  }

  @Test func aSmallDifferenceOnTheSameImagesIsToldFromChance() throws {
    let folder = try TemporaryFolder()
    for (name, distance, noise) in [("a", 1.0, 0.0), ("same", 1, 0), ("noisy", 1, 0.02), ("better", 1.4, 0)] {
      try Self.write(folder(name), category: nil, seed: 1, distance: distance, noise: noise)
    }
    let runs = try ["a", "same", "noisy", "better"].map { try EvaluatedRun(folder($0)) }
    let comparison = try Comparison(runs, withPaper: false)
    #expect(comparison.remarks.isEmpty && Set(comparison.lines.map(\.category)) == [EvaluatedRun.whole])
    let image = try line(comparison, .imageAUROC, EvaluatedRun.whole)
    #expect(image.differences[0] == nil && image.differences[1]?.value == 0)
    #expect(image.differences.dropFirst().map { $0?.isWithinChance } == [true, true, false])
    let better = try #require(image.differences[3])
    #expect(better.interval?.contains(better.value) == true)
    // The pixels' metrics have no samples.
    let pixel = try line(comparison, .pixelAUROC, EvaluatedRun.whole)
    #expect(pixel.differences[3]?.value == 0 && pixel.differences[3]?.isWithinChance == nil)
  }

  @Test func categoriesAndTheirMeanAreCompared() throws {
    let folder = try TemporaryFolder()
    for (index, category) in ["wood", "bottle", "zipper"].enumerated() {
      try Self.write(folder("a/\(category)"), category: category, seed: UInt64(index), distance: 1)
      if index < 2 { try Self.write(folder("b/\(category)"), category: category, seed: UInt64(index), distance: 1.3) }
    }
    let runs = try [EvaluatedRun(folder("a")), EvaluatedRun(folder("b"))]
    let comparison = try Comparison(runs, withPaper: false)
    #expect(comparison.remarks == ["left out, since not all have them: zipper"])
    let lines = comparison.lines.filter { $0.measure == .imageAUROC }
    #expect(lines.map(\.category) == ["wood", "bottle", Comparison.mean])
    let differences = lines.compactMap { $0.differences[1] }
    #expect(
      differences.count == 3 && abs(differences[0].value + differences[1].value - 2 * differences[2].value) < 1e-12)
    // The mean of two is surer than either.
    let widths = differences.compactMap(\.interval).map { $0.high - $0.low }
    #expect(widths.count == 3 && widths[2] < widths[0] && widths[2] < widths[1])
  }

  @Test func otherImagesHaveNoInterval() throws {
    let folder = try TemporaryFolder()
    try Self.write(folder("a"), category: "x", seed: 1, distance: 1)
    try Self.write(folder("b"), category: "x", seed: 1, distance: 1.4, part: "other")
    let comparison = try Comparison([EvaluatedRun(folder("a")), EvaluatedRun(folder("b"))], withPaper: false)
    #expect(comparison.remarks.count == 1 && comparison.remarks[0].hasPrefix("x: not the same images"))
    let image = try line(comparison, .imageAUROC, "x")
    #expect(image.differences[1]?.value != nil && image.differences[1]?.isWithinChance == nil)
  }

  /// Where there is no error, no sample has one; that does not make the difference to a published figure certain.
  @Test(arguments: [1.0, 5]) func thePaperIsComparedInTheMean(distance: Double) throws {
    let folder = try TemporaryFolder()
    for category in PublishedFigures.categories {
      try Self.write(folder("a/\(category)"), category: category, seed: 1, distance: distance)
    }
    let comparison = try Comparison([EvaluatedRun(folder("a"))], withPaper: true)
    let (mean, wood) = try (
      line(comparison, .imageAUROC, Comparison.mean), line(comparison, .imageAUROC, "wood")
    )
    #expect(wood.values[0] == nil && wood.differences[1] == nil)
    #expect(mean.values[0] == 0.985 && mean.differences[1]?.value == mean.values[1].map { $0 - 0.985 })
    #expect(mean.differences[1]?.isWithinChance == (distance > 2 ? nil : false))
    let difference = try #require(mean.differences[1])
    #expect(difference.interval.map { $0.low < difference.value && difference.value < $0.high } ?? (distance > 2))
    #expect(try line(comparison, .imageAP, Comparison.mean).differences[1] == nil)
  }

  @Test func theFormsSayTheSame() throws {
    let folder = try TemporaryFolder()
    try Self.write(folder("a|b"), category: nil, seed: 1, distance: 1)
    try Self.write(folder("c"), category: nil, seed: 1, distance: 1.4)
    let comparison = try Comparison([EvaluatedRun(folder("a|b")), EvaluatedRun(folder("c"))], withPaper: false)
    let text = try comparison.written(as: .text)
    #expect(text.hasPrefix("A: \(folder("a|b"))\nB: \(folder("c"))\n\nimage AUROC\n%"))
    #expect(text.contains("beyond chance") && text.contains("B - A"))
    #expect(try comparison.written(as: .markdown).contains("| % | A | B | B - A | 95 % interval |"))
    let csv = try csvRecords(comparison.written(as: .csv), path: "")
    #expect(csv.count == 1 + 2 * 7 && csv.allSatisfy { $0.count == 7 } && csv[2][2] == folder("c"))
    let json = try JSONSerialization.jsonObject(with: Data(comparison.written(as: .json).utf8)) as? [[String: Any]]
    let values = try #require(json?.first?["values"] as? [[String: Any]])
    #expect(json?.count == 7 && values[1]["is_within_chance"] as? Bool == false)
    #expect(
      values[1]["value"] as? Double == Double(csv[2][3]) && values[1]["difference"] as? Double == Double(csv[2][4]))
  }

  @Test func whatDoesNotBelongTogetherIsSaid() throws {
    let folder = try TemporaryFolder()
    for (run, categories) in [("some", ["cable"]), ("all", ["bottle", "cable"])] {
      for category in categories {
        try Self.write(folder("\(run)/\(category)"), category: category, seed: 1, distance: 1)
      }
    }
    for runs in [["some", "all"], ["all", "some"]] {
      let comparison = try Comparison(runs.map { try EvaluatedRun(folder($0)) }, withPaper: false)
      #expect(comparison.remarks.contains("left out, since not all have them: bottle"))
    }
    let failure = expectError(Failure.self) {
      try Comparison(
        ["all/bottle", "all/cable"].map { try EvaluatedRun(folder($0)) }, withPaper: false)
    }
    #expect(failure?.code == .badData && failure?.message.contains("bottle, cable") == true)
  }

  @Test func foldersThatHoldNoEvaluationAreRefused() throws {
    let folder = try TemporaryFolder()
    #expect(throws: Failure.self) { _ = try EvaluatedRun(folder("missing")) }
    let empty = expectError(Failure.self) { _ = try EvaluatedRun(folder.path) }
    #expect(empty?.code == .badData && empty?.message.contains("no metrics.json") == true)
    try Self.write(folder("a"), category: nil, seed: 1, distance: 1)
    let run = try EvaluatedRun(folder("a"))
    let apart = expectError(Failure.self) { _ = try Comparison([run], withPaper: true) }
    #expect(apart?.message.contains("there is no carpet") == true)
    try "{".write(toFile: folder("a/metrics.json"), atomically: false, encoding: .utf8)
    #expect(throws: Failure.self) { _ = try EvaluatedRun(folder("a")) }
  }
}
