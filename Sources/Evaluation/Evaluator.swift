import Checkpoints
import Collectives
import Diagnostics
import Distillation
import FileSystem
import Foundation
import Imagery
import Jobs
import Metrics
import Network
import Numerics
import Reports
import Scoring
import Synchronization
import Training

/// Scores the test images of a data set with a checkpoint, each rank its share of them, and measures how well that finds the defects.
///
/// Memory holds the networks, a few images, what `EvaluationOptions.pixelMemory` says, and some numbers of each image of the set: the maps lie in a
/// scratch file.
public final class Evaluator {
  private let options: EvaluationOptions
  private let communicator: any Communicator
  private let console: Console
  private let trained: TrainedDetector
  private let normals: KnownNormals
  private let images: TestImages
  /// Below `maps/`.
  private let pictureNames: [String]
  private var team: ThreadTeam { trained.team }
  private var side: Int { images.side }

  /// Collective.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  public init(_ options: EvaluationOptions, over communicator: any Communicator, console: Console) throws {
    self.options = options
    self.communicator = communicator
    self.console = console
    let trained = try TrainedDetector(options.detector, over: communicator, console: console)
    self.trained = trained
    normals = try communicator.agree { try KnownNormals(trained, options.detector) }
    let entries = try communicator.agree { try options.dataSet.test(category: options.category) }
    images = try TestImages(entries, side: trained.side, fit: trained.fit, over: communicator)
    var pictureNames = PictureNames()
    self.pictureNames = entries.map { entry in
      let name = entry.image.relativePath.split(separator: "/").last ?? ""
      return pictureNames.png(for: "\(entry.kind)/\(name)")
    }
  }

  /// Writes `metrics.json`, `scores.csv`, `report.html`, `overview.png`, and in `maps/` a picture for every image and all raw maps in `maps.h5`. Collective.
  /// - Returns: the metrics, on every rank the same.
  /// - Throws: on all ranks the same `Failure`, after which no scratch file is left.
  @discardableResult
  public func evaluate() throws -> Evaluation {
    let maps = try communicator.agree {
      try makeFolder("\(options.output)/maps")
      // What stands there of an earlier evaluation is no longer whole.
      let metrics = "\(options.output)/metrics.json"
      if communicator.rank == 0, isFile(metrics) { try removeFile(metrics) }
      return try MapScratch(in: options.output, size: side * side, shares: images.shares, over: communicator)
    }
    let outcome = try TestScoring(images, trained.extractor, trained.detector, over: communicator, console: console)
      .score(pixelMemory: options.pixelMemory, scratchIn: options.output) { image, detection in
        try maps.write(detection.map, of: image)
      }
    let threshold = normals.threshold(options.threshold, f1: outcome.evaluation.overall.imageF1MaxThreshold)
    let pictures = ResultPictures(scale: try communicator.agree { try heatMapScale(outcome.findings) })
    try communicator.agree { try drawOwnImages(maps, pictures) }
    let rows = rows(outcome.findings, threshold)
    let cases = try collect(maps, rows, pictures)
    try writeResults(outcome, rows, threshold, cases)
    return outcome.evaluation
  }

  // MARK: Pictures

  private func drawOwnImages(_ maps: MapScratch, _ pictures: ResultPictures) throws {
    for kind in Set(images.entries[images.own].map(\.kind)) { try makeFolder("\(options.output)/maps/\(kind)") }
    let drawn = Atomic<Int>(0)
    let count = images.own.count
    try team.run(count) { index, _ in
      let image = images.own.lowerBound + index
      try picture(of: image, map: maps.map(of: image), pictures)
        .writePNG(to: "\(options.output)/maps/\(pictureNames[image])")
      let done = drawn.add(1, ordering: .relaxed).newValue
      console.progress(done, of: count, "picture \(done)/\(count)")
    }
  }

  /// The image, its heat map, and its mask if it has one, side by side.
  private func picture(of image: Int, map: [Float], _ pictures: ResultPictures) throws -> Raster {
    try pictures.panel(image: resized(image), map: map, side: side, mask: images.mask(of: image)?.pixels)
  }

  private func resized(_ image: Int) throws -> Raster {
    try trained.fit.square(ImageFile.decode(images.entries[image].image.path), side: side)
  }

  /// One scale for the whole set.
  private func heatMapScale(_ findings: [ImageFinding]) throws -> HeatMapScale {
    try normals.heatMapScale(
      options.detector.scales, lowest: Double(findings.map(\.lowest).min() ?? 0),
      highest: Double(findings.map(\.highest).max() ?? 0))
  }

  // MARK: Results

  private func rows(_ findings: [ImageFinding], _ threshold: DecisionThreshold?) -> [ScoreTable.Row] {
    zip(images.entries, findings).map { entry, finding in
      ScoreTable.Row(
        path: entry.image.relativePath, kind: entry.kind, isAnomalous: entry.isAnomalous, score: finding.score,
        scaleMaxima: (0..<3).map { finding.scaleMaxima[$0] },
        verdict: threshold.map { Verdict($0.isReached(by: finding.score)) },
        pValue: normals.scores?.pValue(of: finding.score))
    }
  }

  /// Writes all maps to one file, and a sheet of the image of each kind that scores highest. Collective.
  /// - Returns: on rank 0 the pictures of the report.
  private func collect(
    _ maps: MapScratch, _ rows: [ScoreTable.Row], _ pictures: ResultPictures
  ) throws -> [Int: EvaluationReport.Case] {
    let entries = images.entries
    let archive = try communicator.agree {
      communicator.rank > 0
        ? nil
        : try MapArchive(
          path: "\(options.output)/maps/maps.h5", size: side, scales: options.detector.scales.scales.map(\.rawValue),
          producer: versionText(tool: "rd-eval"))
    }
    let highest = Dictionary(grouping: entries.indices) { entries[$0].kind }.values.compactMap { images in
      images.max { rows[$0].score < rows[$1].score }
    }
    let gallery = Gallery(rows).all
    var sheet: [Raster] = []
    var cases: [Int: EvaluationReport.Case] = [:]
    try maps.collect { image, map in
      try archive?.append(path: rows[image].path, score: rows[image].score, map: map)
      if highest.contains(image) { sheet.append(try picture(of: image, map: map, pictures)) }
      if gallery.contains(image) {
        cases[image] = try EvaluationReport.Case(
          rows[image], image: resized(image), map: map, side: side, mask: images.mask(of: image)?.pixels,
          drawnBy: pictures)
      }
      console.progress(image + 1, of: entries.count, "map \(image + 1)/\(entries.count)")
    }
    try communicator.agree {
      try archive?.finish()
      if communicator.rank == 0 {
        try contactSheet(sheet, columns: 2).writePNG(to: "\(options.output)/overview.png")
      }
    }
    return cases
  }

  private func writeResults(
    _ outcome: TestScoring.Outcome, _ rows: [ScoreTable.Row], _ threshold: DecisionThreshold?,
    _ cases: [Int: EvaluationReport.Case]
  ) throws {
    let findings = outcome.findings
    let seconds = try communicator.allGather(values: [outcome.seconds]).reduce(0, +) / Double(findings.count)
    let memory = try communicator.allGather(values: [ProcessMemory.peak]).max()
    let verdicts = threshold.map { threshold in
      VerdictSummary(threshold, images: findings.enumerated().map(images.result(of:_:)))
    }
    let warnings =
      images.warnings(findings) + normals.warnings
      + (threshold?.warnings ?? ["no verdicts: " + (normals.absence ?? "the test set has no F1")])
    try communicator.agree {
      guard communicator.rank == 0 else { return }
      try ScoreTable.write(rows, threshold: threshold?.source, to: "\(options.output)/scores.csv")
      let anomalous = rows.count(where: \.isAnomalous)
      let summary = EvaluationSummary(
        category: options.category, checkpoint: trained.name, step: trained.record.step,
        evaluation: outcome.evaluation, images: .init(normal: rows.count - anomalous, anomalous: anomalous),
        scales: "\(options.detector.scales)", score: options.detector.score.rawValue,
        inferenceSecondsPerImage: seconds, peakMemoryBytes: memory, verdicts: verdicts, warnings: warnings)
      try report(summary, outcome.evaluation, rows, cases).write(to: "\(options.output)/report.html")
      // Last: where it is, all the others are.
      try summary.write(to: "\(options.output)/metrics.json")
    }
    warnings.forEach { console.warn("\($0)") }
    if let verdicts { console.say(verdicts.description) }
    console.say(describe(outcome.evaluation.overall))
    console.say("report.html, metrics.json, scores.csv, overview.png and maps/ are in \(options.output)")
  }

  private func report(
    _ summary: EvaluationSummary, _ evaluation: Evaluation, _ rows: [ScoreTable.Row],
    _ cases: [Int: EvaluationReport.Case]
  ) throws -> EvaluationReport {
    let record = trained.record
    let model = trained.detector.architecture.model
    return EvaluationReport(
      summary: summary, evaluation: evaluation, images: rows, training: try trained.trainingCurves(),
      cases: cases,
      provenance: [
        ("Checkpoint", trained.path), ("SHA-256", try trained.checkpoint.sha256()),
        ("Training", "\(record.step) steps, \(record.producer)"), ("Fingerprint of its images", record.dataFingerprint),
        ("SHA-256 of the teacher", record.teacherHash),
        ("Test images", options.dataName + (options.category.map { "/\($0)" } ?? "") + ", \(rows.count) of them"),
        ("Scored scales", summary.scales), ("Image score", "\(summary.score) of the anomaly map"),
        ("Evaluation", "\(versionText(tool: "rd-eval")), \(Date().formatted(.iso8601))"),
      ], configuration: record.configuration,
      machine: [
        (
          "Model",
          "\(model.backbone.rawValue) at \(model.imageSize) pixels"
            + (side > model.imageSize ? ", images of \(side) pixels in tiles" : "")
        ),
        ("Arithmetic", "\(options.detector.engine.rawValue), \(options.detector.precision.rawValue)"),
        ("Ranks", "\(communicator.size), of \(team.count) threads"),
      ])
  }

  private func describe(_ metrics: DetectionMetrics) -> String {
    func shown(_ value: Double?) -> String { value.map { String(format: "%.4f", $0) } ?? "-" }
    return
      "image AUROC \(shown(metrics.imageAUROC)), pixel AUROC \(shown(metrics.pixelAUROC)), AUPRO \(shown(metrics.aupro))"
  }
}
