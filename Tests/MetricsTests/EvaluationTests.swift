import Diagnostics
import Foundation
import Metrics
import TestSupport
import Testing

@Suite struct EvaluationTests {
  /// The pixel fixture as a test set: its first image is normal, the others are in turn a scratch and a hole.
  private func testSet() throws -> (example: PixelCase, images: [ScoredImage]) {
    let example = try #require(try fixture("pixels", in: .module, as: [PixelCase].self).first)
    let (maps, masks) = example.arrays
    let images = zip(maps, masks).enumerated().map { index, pair in
      ScoredImage(
        score: Double(pair.0.max() ?? 0), defect: pair.1.contains(true) ? ["hole", "scratch"][index % 2] : nil,
        map: pair.0, mask: pair.1)
    }
    return (example, images)
  }

  @Test func theWholeSetHasTheMeasuresOfItsParts() throws {
    let (example, images) = try testSet()
    let evaluation = try Evaluation(images: images, width: example.width, height: example.height)
    #expect(isClose(evaluation.overall.pixelAUROC, example.auroc))
    #expect(isClose(evaluation.overall.pixelAP, example.ap))
    #expect(isClose(evaluation.overall.aupro, example.aupro[0]))
    #expect(isClose(evaluation.overall.auproReference, example.reference))
    #expect(evaluation.overall.auproReferenceSkipped == 0)
    let ranked = try RankedScores(scores: images.map(\.score), labels: images.map { $0.defect != nil })
    #expect(evaluation.overall.imageAUROC == ranked.auroc)
    #expect(evaluation.overall.imageAP == ranked.averagePrecision)
    #expect(evaluation.overall.imageF1Max == ranked.f1Max?.value)
    #expect(evaluation.overall.imageF1MaxThreshold == ranked.f1Max?.threshold)
    #expect(evaluation.imageROC == ranked.roc)
    #expect(evaluation.imagePrecisionRecall == ranked.precisionRecall)
    #expect(evaluation.pixels?.regions == example.regions)
  }

  @Test func aKindOfDefectIsMeasuredAgainstAllNormalImages() throws {
    let (example, images) = try testSet()
    let evaluation = try Evaluation(images: images, width: example.width, height: example.height)
    #expect(Set(evaluation.byDefect.keys) == ["hole", "scratch"])
    for (defect, metrics) in evaluation.byDefect {
      let subset = images.filter { $0.defect == nil || $0.defect == defect }
      #expect(subset.count == 3)
      #expect(try Evaluation(images: subset, width: example.width, height: example.height).overall == metrics)
    }
  }

  @Test func theOrderOfImagesChangesNoBit() throws {
    let (example, images) = try testSet()
    let one = try Evaluation(images: images, width: example.width, height: example.height)
    let other = try Evaluation(images: images.reversed(), width: example.width, height: example.height)
    #expect(other.overall == one.overall)
    #expect(other.byDefect == one.byDefect)
  }

  @Test func unknownMasksAreLeftOut() throws {
    var (example, images) = try testSet()
    let size = (example.width, example.height)
    for index in images.indices where images[index].defect != "hole" { images[index].mask = nil }
    let evaluation = try Evaluation(images: images, width: size.0, height: size.1)
    let hole = try Evaluation(images: images.filter { $0.defect != "scratch" }, width: size.0, height: size.1)
    #expect(evaluation.overall.aupro == hole.overall.aupro)
    #expect(evaluation.overall.auproReference == hole.overall.auproReference)
    #expect(evaluation.byDefect["scratch"]?.imageAUROC != nil)
    #expect(evaluation.byDefect["scratch"]?.pixelAUROC == nil)
  }

  @Test func aMaskThatVanishedIsReported() throws {
    var (example, images) = try testSet()
    images[1].mask = images[0].mask
    let evaluation = try Evaluation(images: images, width: example.width, height: example.height)
    #expect(evaluation.overall.auproReferenceSkipped == 1)
    #expect(evaluation.overall.auproReference != nil)
  }

  @Test func whatIsUndefinedIsNullInJSON() throws {
    let normal = ScoredImage(score: 1, defect: nil, map: [0, 1], mask: nil)
    let metrics = try Evaluation(images: [normal], width: 2, height: 1).overall
    let json = try JSONEncoder().encode(metrics)
    let object = try #require(JSONSerialization.jsonObject(with: json) as? [String: Any])
    let keys = [
      "image_auroc", "image_ap", "image_f1max", "image_f1max_threshold", "image_intervals", "pixel_auroc", "pixel_ap",
      "aupro", "aupro_reference",
    ]
    #expect(keys.allSatisfy { object[$0] is NSNull })
    #expect(Set(object.keys) == Set(keys + ["aupro_reference_skipped"]))
    #expect(try JSONDecoder().decode(DetectionMetrics.self, from: json) == metrics)
  }

  @Test func scoresThatAreNotFiniteAreRejected() {
    let good = ScoredImage(score: 1, defect: nil, map: [0, 1], mask: nil)
    var image = ScoredImage(score: .nan, defect: "hole", map: [0, 1], mask: [true, false])
    #expect(throws: Failure.self) { _ = try Evaluation(images: [good, image], width: 2, height: 1) }
    image.score = 1
    image.map[1] = .nan
    #expect(throws: Failure.self) { _ = try Evaluation(images: [good, image], width: 2, height: 1) }
  }
}
