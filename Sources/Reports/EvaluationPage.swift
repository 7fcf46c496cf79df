import Diagnostics
import FileSystem
import Foundation
import Metrics

extension EvaluationReport {
  var html: String {
    let counts = summary.images
    var sections = [
      (id: "summary", title: "Summary", content: summarySection),
      (id: "scores", title: "Scores and curves", content: scoreSection),
      (id: "defects", title: "Kinds of defects", content: defectTable),
      (id: "images", title: "Images", content: gallery),
    ]
    if !trainingCharts.isEmpty { sections.append((id: "training", title: "Training", content: charts(trainingCharts))) }
    sections += [
      (id: "time", title: "Time and memory", content: facts(times)),
      (id: "provenance", title: "Provenance", content: provenanceSection),
    ]
    return page(
      title: "Evaluation" + (summary.category.map { ": \($0)" } ?? ""),
      subtitle:
        "\(counts.normal) normal and \(counts.anomalous) anomalous test images, scored by \(summary.checkpoint)",
      sections: sections)
  }

  // MARK: Numbers

  @HTMLBuilder private var summarySection: HTML {
    let metrics = summary.metrics
    let intervals = metrics.imageIntervals
    element("dl", ["class": "tiles"]) {
      tile("Image AUROC", metrics.imageAUROC, intervals?.auroc)
      tile("Image AP", metrics.imageAP, intervals?.averagePrecision)
      tile("Image F1-max", metrics.imageF1Max, intervals?.f1Max)
      tile("Pixel AUROC", metrics.pixelAUROC)
      tile("Pixel AP", metrics.pixelAP)
      tile("AUPRO", metrics.aupro, note: "MVTec’s, to a rate of 0.3")
      tile("AUPRO by images", metrics.auproReference, note: "as the method’s authors")
    }
    element("p", ["class": "soft"]) {
      "In percent. A range holds 95 of 100 values of the measure on images drawn with repetition from the test set."
    }
    if !summary.warnings.isEmpty {
      let shown = 20
      element("div", ["class": "warnings", "role": "note"]) {
        element("strong") { "What makes these numbers less than they seem" }
        element("ul") {
          for warning in summary.warnings.prefix(shown) { element("li") { warning } }
          if summary.warnings.count > shown {
            element("li") { "and \(summary.warnings.count - shown) more, which metrics.json names" }
          }
        }
      }
    }
  }

  private func tile(_ name: String, _ value: Double?, _ interval: ConfidenceInterval? = nil, note: String? = nil)
    -> HTML
  {
    element("div") {
      element("dt") { name }
      element("dd") {
        element("strong") { inPercent(value) }
        if let note = interval.map(range) ?? note { element("small") { note } }
      }
    }
  }

  private func range(_ interval: ConfidenceInterval) -> String {
    "\(inPercent(interval.low)) to \(inPercent(interval.high))"
  }

  private var defectTable: HTML {
    func count(of name: String) -> Int { images.count { $0.isAnomalous && $0.kind == name } }
    func row(_ name: String, _ count: Int, _ metrics: DetectionMetrics) -> [TableCell] {
      [
        TableCell(name), TableCell("\(count)"),
        TableCell(inPercent(metrics.imageAUROC), note: metrics.imageIntervals.map { range($0.auroc) }),
        TableCell(inPercent(metrics.imageAP)), TableCell(inPercent(metrics.imageF1Max)),
        TableCell(inPercent(metrics.pixelAUROC)), TableCell(inPercent(metrics.pixelAP)),
        TableCell(inPercent(metrics.aupro)),
      ]
    }
    return dataTable(
      caption: "Each kind of defect against all normal images, in percent",
      columns: [
        "Kind", "Images", "Image AUROC", "Image AP", "Image F1-max", "Pixel AUROC", "Pixel AP", "AUPRO",
      ],
      rows: summary.perDefect.sorted { precedesInBytes($0.key, $1.key) }.map {
        row($0.key, count(of: $0.key), $0.value)
      }, last: [row("all", summary.images.anomalous, summary.metrics)])
  }

  // MARK: Charts

  @HTMLBuilder private var scoreSection: HTML {
    element("p") { "How far the scores of normal and of anomalous images lie apart." }
    if let verdicts = summary.verdicts {
      element("ul") { for line in verdicts.description.split(separator: "\n") { element("li") { String(line) } } }
    }
    charts([scoreHistogram] + curves)
  }

  private func charts(_ charts: [Chart]) -> HTML {
    element("div", ["class": "charts"]) { for chart in charts { chart.figure } }
  }

  private var scoreHistogram: Chart {
    // With the threshold, which may be beyond all scores.
    let places = images.map(\.score) + (summary.verdicts.map { [$0.threshold.value] } ?? [])
    let (low, high) = (places.min() ?? 0, places.max() ?? 1)
    let bins = 32
    /// Of the images of a class, in percent.
    func shares(_ isAnomalous: Bool) -> Chart.Shape {
      let values = images.filter { $0.isAnomalous == isAnomalous }.map(\.score)
      let histogram = try? Histogram(values: values, bins: bins, range: low...high)
      return .bars(
        edges: histogram?.edges ?? [],
        heights: (histogram?.counts ?? []).map { 100 * Double($0) / Double(max(values.count, 1)) })
    }
    let series = [
      Chart.Series(name: "normal images (\(summary.images.normal))", color: .normal, shape: shares(false)),
      Chart.Series(name: "anomalous images (\(summary.images.anomalous))", color: .anomalous, shape: shares(true)),
    ]
    var (edges, largest) = ([low, high], 0.0)
    for case .bars(let ownEdges, let heights) in series.map(\.shape) {
      if !ownEdges.isEmpty { edges = ownEdges }
      largest = max(largest, heights.max() ?? 0)
    }
    return Chart(
      id: "histogram", title: "Image scores",
      description: description(of: "normal", false) + " " + description(of: "anomalous", true),
      x: .init(label: "score (\(summary.score) of the anomaly map)", range: edges[0]...edges[edges.count - 1]),
      y: .init(label: "share of the class", range: 0...max(largest * 1.1, 1), unit: " %"), series: series,
      marks: summary.verdicts.map { [(x: $0.threshold.value, name: "threshold")] } ?? [])
  }

  private func description(of name: String, _ isAnomalous: Bool) -> String {
    let values = images.filter { $0.isAnomalous == isAnomalous }.map(\.score).sorted()
    guard let low = values.first, let high = values.last else { return "There are no \(name) images." }
    let median = (values[(values.count - 1) / 2] + values[values.count / 2]) / 2
    return String(format: "The \(name) images score from %.3f to %.3f, half of them up to %.3f.", low, high, median)
  }

  private var curves: [Chart] {
    let unit = 0.0...1.0
    func chart(
      _ id: String, _ title: String, x: String, y: String, measure: String, images: [CurvePoint]?,
      pixels: [CurvePoint]?,
      values: (images: Double?, pixels: Double?), marks: [(x: Double, name: String)] = []
    ) -> Chart? {
      let parts = [
        images.map { Chart.Series(name: "images", color: .anomalous, shape: .curve($0)) },
        pixels.map { Chart.Series(name: "pixels", color: .normal, shape: .curve($0)) },
      ].compactMap { $0 }
      guard !parts.isEmpty else { return nil }
      let texts = [
        values.images.map { "\(inPercent($0)) over images" }, values.pixels.map { "\(inPercent($0)) over pixels" },
      ]
      return Chart(
        id: id, title: title,
        description: "\(measure): \(texts.compactMap { $0 }.joined(separator: ", ")), in percent.",
        x: .init(label: x, range: unit), y: .init(label: y, range: unit), series: parts, marks: marks)
    }
    let (metrics, pixels) = (summary.metrics, evaluation.pixels)
    return [
      chart(
        "roc", "ROC", x: "false-positive rate", y: "true-positive rate", measure: "Area under the curve (AUROC)",
        images: evaluation.imageROC, pixels: pixels?.roc, values: (metrics.imageAUROC, metrics.pixelAUROC)),
      chart(
        "precision-recall", "Precision and recall", x: "recall", y: "precision", measure: "Average precision",
        images: evaluation.imagePrecisionRecall, pixels: pixels?.precisionRecall,
        values: (metrics.imageAP, metrics.pixelAP)),
      chart(
        "pro", "Per-region overlap (PRO)", x: "false-positive rate of pixels", y: "mean overlap",
        measure: "AUPRO up to a rate of 0.3",
        images: nil, pixels: pixels?.pro, values: (nil, metrics.aupro),
        marks: [(x: PixelMetrics.usualLimit, name: "limit of AUPRO")]),
    ].compactMap { $0 }
  }

  // MARK: Training

  private var trainingCharts: [Chart] {
    [lossChart].compactMap { $0 } + training.measures.filter { $0.points.count > 1 }.enumerated().map(measureChart)
  }

  private var lossChart: Chart? {
    let losses = training.losses.filter(\.isFinite)
    guard losses.count > 1, let last = losses.last else { return nil }
    // Means of some steps each, as many as the chart has room for.
    let width = (losses.count + 199) / 200
    let points = stride(from: 0, to: losses.count, by: width).map { start in
      let part = losses[start..<min(start + width, losses.count)]
      return CurvePoint(x: Double(start + 1) + Double(part.count - 1) / 2, y: part.reduce(0, +) / Double(part.count))
    }
    let heldOut = training.heldOutLoss
    let highest = (points + heldOut).map(\.y).max() ?? 1
    var texts = [String(format: "From %.3f in the first step to %.3f in step \(losses.count).", losses[0], last)]
    if width > 1 { texts.append("Each point is the mean of \(width) steps.") }
    if let end = heldOut.last { texts.append(String(format: "On held-out normal images %.3f at the end.", end.y)) }
    return Chart(
      id: "loss", title: "Training loss", description: texts.joined(separator: " "),
      x: .init(label: "step", range: 0...Double(losses.count)),
      y: .init(label: "loss", range: 0...(highest > 0 ? highest * 1.05 : 1)),
      series: [.init(name: "training images", color: .line, shape: .curve(points))]
        + (heldOut.count > 1 ? [.init(name: "held-out normal images", color: .dashes, shape: .curve(heldOut))] : []))
  }

  private func measureChart(_ number: Int, _ measure: TrainingCurves.Measure) -> Chart {
    let values = measure.points.map(\.y)
    let lowest = ((values.min() ?? 0) * 10).rounded(.down) / 10
    let best = measure.points.max { $0.y < $1.y }
    return Chart(
      id: "measure-\(number)", title: "\(measure.name) on the way",
      description: "\(measure.points.count) evaluations during training; the best, "
        + "\(inPercent(best?.y)) %, after step \(Int(best?.x ?? 0)).",
      x: .init(label: "step", range: 0...Double(training.losses.count)),
      y: .init(label: measure.name, range: min(lowest, 0.9)...1),
      series: [.init(name: measure.name, color: .line, shape: .curve(measure.points))])
  }

  // MARK: Pictures

  @HTMLBuilder private var gallery: HTML {
    let gallery = Gallery(images)
    element("p") {
      "From left to right: the image, its anomaly map over it on one scale for the whole set, and the outline of the true defect where it is known."
    }
    cases(gallery.misses, "Defects that score lowest")
    cases(gallery.falseAlarms, "Normal images that score highest")
    cases(gallery.hits, "Defects that score highest")
  }

  @HTMLBuilder private func cases(_ images: [Int], _ title: String) -> HTML {
    let shown = images.compactMap { cases[$0] }
    if !shown.isEmpty {
      element("h3", ["class": "gallery"]) { title }
      element("ol", ["class": "cases"]) { for image in shown { element("li") { card(image) } } }
    }
  }

  private func card(_ image: Case) -> HTML {
    let names = ["Image", "Anomaly map over the image", "Outline of the true defect in the image"]
    return element("figure") {
      element("div", ["class": "pictures"]) {
        for (name, jpeg) in zip(names, image.pictures) {
          element(
            "img",
            ["alt": "\(name): \(image.row.path)", "src": "data:image/jpeg;base64,\(Data(jpeg).base64EncodedString())"])
        }
      }
      element("figcaption") {
        if let verdict = image.row.verdict {
          let isCalled = verdict == .anomalous
          element("span", ["class": isCalled == image.row.isAnomalous ? "verdict" : "verdict wrong"]) {
            image.row.isAnomalous ? (isCalled ? "found" : "missed") : (isCalled ? "false alarm" : "passed")
          }
          " · "
        }
        "score \(String(format: "%.4f", image.row.score)) · \(image.row.kind)"
        element("br")
        image.row.path
      }
    }
  }

  // MARK: Where it comes from

  private var times: [(name: String, value: String)] {
    let measured: [(name: String, value: String)?] = [
      summary.inferenceSecondsPerImage.map {
        ("Time of an image", String(format: "%.3f s from the normalised picture to the score", $0))
      },
      summary.peakMemoryBytes.map { ("Memory of a rank", "\($0 >> 20) MiB at the most") },
    ]
    return measured.compactMap { $0 } + machine
      + [
        (
          "In the paper",
          "0.31 s and 352 MB with WideResNet-50 at 256 pixels on an Intel i7 (H. Deng, X. Li, CVPR 2022, table 3)"
        )
      ]
  }

  @HTMLBuilder private var provenanceSection: HTML {
    facts(provenance)
    element("details") {
      element("summary") { "Configuration of the training" }
      element("pre", ["tabindex": "0"]) { configuration }
    }
  }
}
