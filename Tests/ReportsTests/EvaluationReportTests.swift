import Foundation
import Imagery
import Metrics
import Testing

@testable import Reports

@Suite struct EvaluationReportTests {
  private static let hostile = "test/a\"b' onerror=alert(1)/<script>alert('&')</script>\u{0}\u{202E}.png"

  /// A test set in which every text comes from outside.
  private func report(_ name: String = hostile) throws -> EvaluationReport {
    let side = 16
    let mask = (0..<side * side).map { $0 < 20 }
    let map = (0..<side * side).map { 1 / Float($0 + 1) }
    let scores: [(Double, String?)] = [(0.1, nil), (0.9, nil), (0.2, name), (0.8, name), (0.95, name)]
    let threshold = try #require(DecisionThreshold(.given(0.5), normal: nil, areHeldOut: false))
    let evaluation = try Evaluation(
      images: scores.map { ScoredImage(score: $0, defect: $1, map: map, mask: $1 == nil ? nil : mask) },
      width: side, height: side)
    let rows = scores.map { score, defect in
      ScoreTable.Row(
        path: name, kind: defect ?? "good", isAnomalous: defect != nil, score: score, scaleMaxima: [nil, nil, nil],
        verdict: Verdict(threshold.isReached(by: score)))
    }
    let pictures = ResultPictures(scale: try HeatMapScale(low: 0, high: 1))
    let image = Raster(width: side, height: side, channels: 3, filledWith: 128)
    let cases = try rows.map {
      try EvaluationReport.Case(
        $0, image: image, map: map, side: side, mask: $0.isAnomalous ? mask : nil, drawnBy: pictures)
    }
    return EvaluationReport(
      summary: EvaluationSummary(
        category: name, checkpoint: name, step: 3, evaluation: evaluation, images: .init(normal: 2, anomalous: 3),
        scales: "M1", score: "max", inferenceSecondsPerImage: 0.1, peakMemoryBytes: 1 << 30,
        verdicts: VerdictSummary(
          threshold, images: scores.map { ImageResult(score: $0, defect: $1, referenceArea: nil) }),
        warnings: (0..<30).map { "\(name) \($0)" }),
      evaluation: evaluation, images: rows,
      training: TrainingCurves(
        losses: [1.5, 0.7, .nan, 0.5], heldOutLoss: [CurvePoint(x: 2, y: 0.9), CurvePoint(x: 4, y: 0.6)],
        measures: [
          .init(name: "Image AUROC", points: [CurvePoint(x: 2, y: 0.5), CurvePoint(x: 4, y: 0.75)]),
          .init(name: "AUPRO", points: [CurvePoint(x: 4, y: 0.75)]),
        ]),
      cases: Dictionary(uniqueKeysWithValues: cases.enumerated().map { ($0, $1) }),
      provenance: [("Checkpoint", name)], configuration: name, machine: [("Ranks", name)])
  }

  /// A page in its pieces. Fails where a sign that opens or closes a tag does not, and where an element is not closed.
  private struct Page {
    /// With its attributes, as it is written.
    var elements: [String] = []
    var text = ""

    func count(_ name: String) -> Int { elements.count { $0 == name || $0.hasPrefix(name + " ") } }
    func values(of attribute: String) -> [String] {
      elements.flatMap {
        $0.components(separatedBy: " \(attribute)=\"").dropFirst().map { String($0.prefix { $0 != "\"" }) }
      }
    }

    init(_ html: String) {
      var open: [String] = []
      for piece in html.split(separator: "<", omittingEmptySubsequences: true).dropFirst() {
        let parts = piece.split(separator: ">", omittingEmptySubsequences: false)
        let tag = String(parts[0])
        let name = String(tag.prefix { $0 != " " })
        #expect(parts.count == 2 || name == "style", "\(piece.prefix(80))")
        if tag.hasPrefix("/") {
          #expect(open.popLast().map { "/" + $0 } == name)
        } else {
          elements.append(tag)
          if !["img", "meta", "link", "br"].contains(name) { open.append(name) }
        }
        if name != "style", let after = parts.last { text += after }
      }
      #expect(open.isEmpty)
    }
  }

  @Test func namesFromOutsideStayText() throws {
    // The document type comes before the elements.
    let (hostile, harmless) = (Page(try report().html), Page(try report("harmless").html))
    // The same elements: no name became one, or ended one. The same attributes as well.
    func names(_ page: Page) -> [Substring] { page.elements.map { $0.prefix { $0 != " " } } }
    func quotes(_ page: Page) -> [Int] { page.elements.map { $0.count { $0 == "\"" } } }
    #expect(names(hostile) == names(harmless))
    #expect(quotes(hostile) == quotes(harmless))
    #expect(hostile.text.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"))
    #expect(!hostile.text.contains("\u{0}") && !hostile.text.contains("\u{202E}"))
  }

  @Test func thePageNeedsNothingFromElsewhere() throws {
    let html = try report("harmless").html
    let page = Page(html)
    let targets = page.values(of: "id")
    #expect(Set(targets).count == targets.count)
    for target in page.values(of: "src") + page.values(of: "href") {
      #expect(
        target.hasPrefix("data:") || target.first == "#" && targets.contains(String(target.dropFirst())),
        "\(target.prefix(40))")
    }
    #expect(!html.contains("url(") && !html.contains("@import") && !html.contains("http:"))
  }

  @Test func everyPartIsThere() throws {
    let html = try report("harmless").html
    for title in [
      "Image scores", "ROC", "Precision and recall", "Per-region overlap (PRO)", "Kinds of defects", "Training loss",
      "Defects that score lowest", "Normal images that score highest", "Defects that score highest", "Provenance",
    ] { #expect(html.contains(">\(title)</h"), "\(title)") }
    let page = Page(html)
    // Three pictures of a defect, two of a normal image.
    #expect(page.count("img") == 3 * 3 + 2 * 2 && page.values(of: "alt").count { !$0.isEmpty } == 13)
    #expect(page.count("svg") == 6 && page.count("desc") == 6)
    // Of a single evaluation there is no curve.
    #expect(
      html.contains("held-out normal images") && html.contains("Image AUROC on the way")
        && !html.contains("AUPRO on the way"))
    #expect(html.contains("2 evaluations during training; the best, 75.0 %, after step 4."))
    #expect(html.contains("and 10 more") && html.contains(">false alarm<") && html.contains(">missed<"))
    #expect(html.contains("defects found: 2 of 3"))
    // Values and their ranges are written alike.
    #expect(html.contains("<strong>66.7</strong><small>0.0 to 100.0</small>"))
  }

  /// Where the threshold is beyond all scores, the chart shows that.
  @Test func theThresholdIsAlwaysInTheHistogram() throws {
    var report = try report("harmless")
    let threshold = try #require(DecisionThreshold(.given(7), normal: nil, areHeldOut: false))
    report.summary.verdicts = VerdictSummary(threshold, images: [])
    #expect(Page(report.html).text.contains("threshold"))
    #expect(report.html.components(separatedBy: "class=\"mark\"").count == 3)
  }

  /// Only normal images, no mask, no history: what is not known is left out.
  @Test func aTestSetWithoutDefects() throws {
    var report = try report("harmless")
    report.images = Array(report.images.prefix(2))
    report.evaluation = try Evaluation(
      images: report.images.map { ScoredImage(score: $0.score, defect: nil, map: [0], mask: nil) }, width: 1, height: 1)
    report.summary.metrics = report.evaluation.overall
    report.summary.perDefect = [:]
    report.training = TrainingCurves(losses: [])
    report.cases = [:]
    let html = report.html
    #expect(html.contains("There are no anomalous images.") && html.contains("–"))
    let page = Page(html)
    #expect(page.count("svg") == 1 && page.count("img") == 0)
  }

  @Test func theCategoriesReportLeadsToTheirs() throws {
    let name = "javascript:a/\"><b>"
    let known = CategoryTable.Measures(imageAUROC: 0.5, pixelAUROC: nil, aupro: nil)
    let none = CategoryTable.Measures(imageAUROC: nil, pixelAUROC: nil, aupro: nil)
    let html = CategoryTable([.init(name: name, measures: known), .init(name: "failed", measures: none)]).html
    let page = Page(html)
    #expect(
      page.values(of: "href").filter { $0.contains("report") } == ["./javascript%3Aa%2F%22%3E%3Cb%3E/report.html"])
    #expect(html.contains("1 of 2 categories") && page.count("b") == 0)
  }

  @Test func theGalleryShowsTheWorstAndTheBest() {
    func gallery(_ scores: [(Double, Bool)], count: Int) -> Gallery {
      Gallery(
        scores.map {
          .init(path: "", kind: "", isAnomalous: $0.1, score: $0.0, scaleMaxima: [nil, nil, nil])
        }, count: count)
    }
    let many = gallery([(3, true), (1, false), (5, true), (4, true), (2, false), (1, true), (2, true)], count: 2)
    #expect(many.misses == [5, 6] && many.hits == [2, 3] && many.falseAlarms == [4, 1])
    // Each image once, and of equal scores the first.
    let few = gallery([(1, true), (1, true), (1, true), (1, false), (1, false)], count: 3)
    #expect(few.misses == [2, 1] && few.hits == [0] && few.falseAlarms == [3, 4])
    #expect(gallery([], count: 3).all.isEmpty)
  }

  @Test func ticksAreRound() {
    #expect(ticks(0...1) == [0, 0.2, 0.4, 0.6, 0.8, 1])
    #expect(ticks(0.78...1.6) == [0.8, 1, 1.2, 1.4, 1.6])
    #expect(ticks(0...75) == [0, 20, 40, 60])
    #expect(ticks(-3...3) == [-3, -2, -1, 0, 1, 2, 3] || ticks(-3...3) == [-2, 0, 2])
    #expect(ticks(2...2) == [2])
    #expect(ticks(0.001...0.0034) == [0.001, 0.0015, 0.002, 0.0025, 0.003])
  }
}
