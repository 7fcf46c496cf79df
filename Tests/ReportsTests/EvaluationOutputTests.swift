import Diagnostics
import Foundation
import Metrics
import TestSupport
import Testing

@testable import Reports

@Suite struct EvaluationOutputTests {
  private func summary(masks: Bool = true) throws -> EvaluationSummary {
    let mask = (0..<16).map { $0 < 4 }
    let map = (0..<16).map { 1 / Float($0 + 1) }
    let evaluation = try Evaluation(
      images: [
        ScoredImage(score: 0.25, defect: nil, map: map, mask: nil),
        ScoredImage(score: 1 / 3, defect: "hole", map: map, mask: masks ? mask : nil),
        ScoredImage(score: 0.1, defect: "thread", map: map.reversed(), mask: masks ? mask : nil),
      ], width: 4, height: 4)
    return EvaluationSummary(
      category: "carpet", checkpoint: "last.h5", step: 1200, evaluation: evaluation,
      images: .init(normal: 1, anomalous: 2), scales: "M1+M2+M3", score: "max", inferenceSecondsPerImage: 0.125,
      peakMemoryBytes: 5_000_000_000, warnings: ["test/hole/001.png: \"vanished\""])
  }

  private func written(_ summary: EvaluationSummary) throws -> (text: String, object: [String: Any]) {
    try withTemporaryFolder { folder in
      let path = "\(folder)/metrics.json"
      try summary.write(to: path)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["metrics.json"])
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      let object = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
      return (String(decoding: data, as: UTF8.self), object)
    }
  }

  private let measures = [
    "image_auroc", "image_ap", "image_f1max", "image_f1max_threshold", "image_intervals", "pixel_auroc",
    "pixel_ap", "aupro", "aupro_reference", "aupro_reference_skipped",
  ]

  @Test func everyKeyIsThere() throws {
    let summary = try summary()
    let (text, object) = try written(summary)
    let others = [
      "category", "checkpoint", "step", "per_defect", "images", "scales", "score", "inference_seconds_per_image",
      "peak_memory_bytes", "verdicts", "warnings",
    ]
    #expect(Set(object.keys) == Set(measures + others))
    #expect(object["category"] as? String == "carpet")
    #expect(object["checkpoint"] as? String == "last.h5")
    #expect(object["step"] as? Int == 1200)
    #expect(object["image_auroc"] as? Double == 0.5)
    #expect(object["image_f1max_threshold"] as? Double == summary.metrics.imageF1MaxThreshold)
    #expect(object["pixel_auroc"] as? Double == summary.metrics.pixelAUROC)
    #expect(object["aupro"] as? Double == summary.metrics.aupro)
    #expect(object["images"] as? [String: Int] == ["normal": 1, "anomalous": 2])
    #expect(object["scales"] as? String == "M1+M2+M3")
    #expect(object["score"] as? String == "max")
    #expect(object["inference_seconds_per_image"] as? Double == 0.125)
    #expect(object["peak_memory_bytes"] as? Int == 5_000_000_000)
    #expect(object["warnings"] as? [String] == ["test/hole/001.png: \"vanished\""])
    let kinds = try #require(object["per_defect"] as? [String: [String: Any]])
    #expect(Set(kinds.keys) == ["hole", "thread"])
    for metrics in kinds.values { #expect(Set(metrics.keys) == Set(measures)) }
    #expect(kinds["hole"]?["image_auroc"] as? Double == 1)
    #expect(kinds["thread"]?["image_auroc"] as? Double == 0)
    #expect(text.hasSuffix("}\n"))
  }

  @Test func keysAreSortedAndTheTextIsStable() throws {
    let text = try written(summary()).text
    let keys = text.split(separator: "\n").filter { $0.hasPrefix("  \"") }.map { $0.split(separator: "\"")[1] }
    #expect(keys == keys.sorted())
    #expect(try written(summary()).text == text)
  }

  @Test func whatIsUnknownIsNull() throws {
    var summary = try summary(masks: false)
    summary.category = nil
    summary.step = nil
    summary.inferenceSecondsPerImage = nil
    summary.peakMemoryBytes = nil
    let object = try written(summary).object
    let unknown = [
      "category", "step", "inference_seconds_per_image", "peak_memory_bytes", "pixel_auroc", "pixel_ap", "aupro",
      "aupro_reference",
    ]
    for key in unknown { #expect(object[key] is NSNull, "\(key)") }
  }

  @Test func anInfiniteNumberIsRejectedAndLeavesNoFile() throws {
    var summary = try summary()
    summary.inferenceSecondsPerImage = .infinity
    try withTemporaryFolder { folder in
      let failure = expectError(Failure.self) { try summary.write(to: "\(folder)/metrics.json") }
      #expect(failure?.code == .internalError)
      let left = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(left.isEmpty)
      #expect(throws: Failure.self) { try summary.write(to: "\(folder)/missing/metrics.json") }
    }
  }

  @Test func scoresAreWrittenWithAllTheirDigits() throws {
    let score = 0.1 + 0.2
    let text = try table([
      .init(path: "test/good/000.png", kind: "good", isAnomalous: false, score: 2, scaleMaxima: [0.5, 1e-7, nil]),
      .init(
        path: "test/hole/1.png", kind: "hole", isAnomalous: true, score: score, scaleMaxima: [1, 1.0 / 3, 0],
        verdict: .anomalous, pValue: 1.0 / 3),
    ])
    let expected = """
      path,label,anomalous,score,max_m1,max_m2,max_m3,verdict,p_value
      test/good/000.png,good,0,2.0,0.5,1e-07,,,
      test/hole/1.png,hole,1,0.30000000000000004,1.0,0.3333333333333333,0.0,anomalous,0.3333333333333333

      """
    #expect(text == expected)
  }

  @Test func fieldsAreQuotedWhereTheyMustBe() throws {
    let names = [
      "a b": "a b", "a,b": "\"a,b\"", "say \"x\"": "\"say \"\"x\"\"\"", "a\nb": "\"a\nb\"", "a\r\nb": "\"a\r\nb\"",
      "ü": "ü",
    ]
    for (name, field) in names {
      let text = try table([.init(path: name, kind: name, isAnomalous: true, score: 1, scaleMaxima: [nil, nil, nil])])
      #expect(text == ScoreTable.header(nil).joined(separator: ",") + "\n\(field),\(field),1,1.0,,,,,\n")
    }
  }

  @Test func verdictsOfTheTestLabelsSaySo() throws {
    try withTemporaryFolder { folder in
      try ScoreTable.write([], threshold: .f1OfTestLabels, to: "\(folder)/scores.csv")
      let text = try String(contentsOfFile: "\(folder)/scores.csv", encoding: .utf8)
      #expect(text.hasSuffix(",verdict_by_f1_of_test_labels,p_value\n"))
    }
  }

  @Test func scoresThatAreNotFiniteAreRejected() throws {
    for bad in [Double.nan, .infinity] {
      for (score, maximum) in [(bad, 0), (0, bad)] {
        let failure = expectError(Failure.self) {
          _ = try table([
            .init(path: "x.png", kind: "good", isAnomalous: false, score: score, scaleMaxima: [0, nil, maximum])
          ])
        }
        #expect(failure?.message.contains("x.png") == true)
      }
    }
  }

  private func table(_ rows: [ScoreTable.Row]) throws -> String {
    try withTemporaryFolder { folder in
      try ScoreTable.write(rows, to: "\(folder)/scores.csv")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["scores.csv"])
      return try String(decoding: Data(contentsOf: URL(fileURLWithPath: "\(folder)/scores.csv")), as: UTF8.self)
    }
  }
}

/// Runs `body` with the path of an empty folder that is removed afterwards.
private func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
  let folder = FileManager.default.temporaryDirectory.appending(path: "reports-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  return try body(folder.path)
}
