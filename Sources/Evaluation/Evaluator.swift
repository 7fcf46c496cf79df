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
  private let checkpoint: CheckpointFile
  private let checkpointName: String
  private let images: TestImages
  private let extractor: FeatureExtractor
  private let detector: Detector
  private let team: ThreadTeam
  private var side: Int { images.side }

  /// Collective.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  public init(_ options: EvaluationOptions, over communicator: any Communicator, console: Console) throws {
    self.options = options
    self.communicator = communicator
    self.console = console
    try communicator.comparePrograms()
    (checkpoint, checkpointName) = try communicator.agree {
      try openCheckpoint(options.checkpoint, withTeacher: options.teacher == nil, console: console)
    }
    let (checkpoint, checkpointName) = (checkpoint, checkpointName)
    let record = checkpoint.record
    try communicator.compareAcrossRanks(
      "\(checkpointName), \(record.step) steps, last loss \(record.lossHistory.last ?? .nan)",
      what: "the checkpoint",
      hint: "is a training still writing? Name the checkpoint instead of the folder")
    let configuration = try communicator.agree {
      try TrainingConfiguration(data: "", teacher: "", output: "")
        .restored(from: record.configuration, file: checkpointName)
    }
    let entries = try communicator.agree { try MVTecDataSet.test(at: options.data, category: options.category) }
    let names = SHA256.hexDigest(of: entries.map(\.image.relativePath).joined(separator: "\n").utf8)
    try communicator.compareAcrossRanks(names, what: "the test images")

    let architecture = Architecture(configuration.model)
    images = TestImages(entries, side: architecture.model.imageSize, over: communicator)
    let team = ThreadTeam(count: try options.threads ?? Placement(communicator).threads)
    self.team = team
    do {
      let engine = try communicator.agree { try options.engine.start(on: team, precision: options.precision) }
      try compareArithmetic(engine, over: communicator)
      (extractor, detector) = try communicator.agree {
        let weights = try teacher(of: checkpoint, named: checkpointName, given: options.teacher, for: architecture)
        return (
          FeatureExtractor(
            try Teacher(architecture, weights: weights, engine: engine, capacity: FeatureExtractor.imagesAtATime),
            team: team),
          try Detector(
            architecture, student: checkpoint[.parameters], engine: engine,
            capacity: FeatureExtractor.imagesAtATime, scales: options.scales, score: options.score)
        )
      }
    } catch {
      team.finish()
      throw error
    }
  }

  /// Writes `metrics.json`, `scores.csv`, `report.html`, `overview.png`, and in `maps/` a picture for every image and all raw maps in `maps.h5`. Collective, and once.
  /// - Returns: the metrics, on every rank the same.
  /// - Throws: on all ranks the same `Failure`, after which no scratch file is left.
  @discardableResult
  public func evaluate() throws -> Evaluation {
    defer { team.finish() }
    let (maps, pixels) = try communicator.agree {
      try makeFolder("\(options.output)/maps")
      return (
        try MapScratch(in: options.output, size: side * side, shares: images.shares, over: communicator),
        try PixelStore(
          width: side, height: side, parts: images.parts, memory: options.pixelMemory, folder: options.output)
      )
    }
    let own = try communicator.agree { try scoreOwnImages(maps, pixels) }
    let findings = try communicator.allGather(values: own)
    let evaluation = try evaluation(findings, pixels)
    let pictures = ResultPictures(scale: try communicator.agree { try heatMapScale(findings) })
    try communicator.agree { try drawOwnImages(maps, pictures) }
    let rows = zip(images.entries, findings).map { entry, finding in
      ScoreTable.Row(
        path: entry.image.relativePath, kind: entry.kind, isAnomalous: entry.isAnomalous, score: finding.score,
        scaleMaxima: (0..<3).map { finding.scaleMaxima[$0] })
    }
    let cases = try collect(maps, rows, pictures)
    try writeResults(findings, rows, evaluation, cases)
    return evaluation
  }

  // MARK: This rank's images

  /// From normalised pictures to scores.
  private var inferenceSeconds = 0.0

  private func scoreOwnImages(_ maps: MapScratch, _ pixels: PixelStore) throws -> [ImageFinding] {
    let features = FeatureBuffer(detector.architecture, images: FeatureExtractor.imagesAtATime)
    let own = images.own
    var findings: [ImageFinding] = []
    for start in stride(from: own.lowerBound, to: own.upperBound, by: FeatureExtractor.imagesAtATime) {
      let part = start..<min(start + FeatureExtractor.imagesAtATime, own.upperBound)
      let sizes = try extractor.read(part.map { images.entries[$0].image.path })
      let began = ContinuousClock.now
      try extractor.extract(part.count, into: features)
      let detections = try detector.detect(features.features, images: part.count)
      inferenceSeconds += (ContinuousClock.now - began).seconds
      let masks = try team.map(part.count) { try images.mask(of: start + $0) }
      findings += try team.map(part.count) {
        try ImageFinding(detections[$0], mask: masks[$0], size: sizes[$0], side: side)
      }
      for (image, (detection, mask)) in zip(part, zip(detections, masks)) {
        try maps.write(detection.map, of: image)
        let kind = images.part(of: image)
        if kind == 0 || mask != nil { try pixels.add(map: detection.map, mask: mask?.pixels, part: kind) }
      }
      console.progress(findings.count, of: own.count, "image \(findings.count)/\(own.count)")
    }
    return findings
  }

  private func drawOwnImages(_ maps: MapScratch, _ pictures: ResultPictures) throws {
    for kind in Set(images.entries[images.own].map(\.kind)) { try makeFolder("\(options.output)/maps/\(kind)") }
    let drawn = Atomic<Int>(0)
    let count = images.own.count
    try team.run(count) { index, _ in
      let image = images.own.lowerBound + index
      let entry = images.entries[image]
      try picture(of: image, map: maps.map(of: image), pictures)
        .writePNG(to: "\(options.output)/maps/\(entry.kind)/\(pictureName(of: entry))")
      let done = drawn.add(1, ordering: .relaxed).newValue
      console.progress(done, of: count, "picture \(done)/\(count)")
    }
  }

  /// The image, its heat map, and its mask if it has one, side by side.
  private func picture(of image: Int, map: [Float], _ pictures: ResultPictures) throws -> Raster {
    try pictures.panel(image: resized(image), map: map, side: side, mask: images.mask(of: image)?.pixels)
  }

  private func resized(_ image: Int) throws -> Raster {
    try ImageFile.decode(images.entries[image].image.path).resized(width: side, height: side)
  }

  /// One scale for the whole set. Where the normal images were scored, their usual values stay dark, and the highest of them does not pass
  /// the middle: so normal images look normal even where nothing else is in the set.
  private func heatMapScale(_ findings: [ImageFinding]) throws -> HeatMapScale {
    let lowest = Double(findings.map(\.lowest).min() ?? 0)
    let highest = Double(findings.map(\.highest).max() ?? 0)
    guard let normal = checkpoint.record.normalStatistics else { return try HeatMapScale(low: lowest, high: highest) }
    let usual = options.scales.scales.reduce(0.0) { sum, scale in
      let statistics = normal.scales[scale.rawValue - 1]
      return sum + (statistics.quantiles.first { $0.probability == 0.5 }?.value ?? statistics.mean)
    }
    let normalHighest = options.scales == .all ? normal.imageScore.maximum : usual
    return try HeatMapScale(low: usual, high: max(highest, usual + 2 * (normalHighest - usual), usual))
  }

  // MARK: Results

  private func evaluation(_ findings: [ImageFinding], _ pixels: PixelStore) throws -> Evaluation {
    let metrics = try pixels.metrics(over: communicator)
    return try communicator.agree {
      try Evaluation(
        images: findings.enumerated().map(images.result(of:_:)), kinds: images.kinds, pixels: metrics)
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
          path: "\(options.output)/maps/maps.h5", size: side, scales: options.scales.scales.map(\.rawValue),
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
    _ findings: [ImageFinding], _ rows: [ScoreTable.Row], _ evaluation: Evaluation,
    _ cases: [Int: EvaluationReport.Case]
  ) throws {
    let seconds = try communicator.allGather(values: [inferenceSeconds]).reduce(0, +) / Double(findings.count)
    let memory = try communicator.allGather(values: [ProcessMemory.peak]).max()
    let warnings = images.warnings(findings)
    try communicator.agree {
      guard communicator.rank == 0 else { return }
      try ScoreTable.write(rows, to: "\(options.output)/scores.csv")
      let anomalous = rows.count(where: \.isAnomalous)
      let summary = EvaluationSummary(
        category: options.category, checkpoint: String(checkpointName.split(separator: "/").last ?? ""),
        step: checkpoint.record.step, evaluation: evaluation,
        images: .init(normal: rows.count - anomalous, anomalous: anomalous), scales: "\(options.scales)",
        score: options.score.rawValue, inferenceSecondsPerImage: seconds, peakMemoryBytes: memory, warnings: warnings)
      try summary.write(to: "\(options.output)/metrics.json")
      try report(summary, evaluation, rows, cases).write(to: "\(options.output)/report.html")
    }
    warnings.forEach { console.say("warning: \($0)") }
    console.say(describe(evaluation.overall))
    console.say("report.html, metrics.json, scores.csv, overview.png and maps/ are in \(options.output)")
  }

  private func report(
    _ summary: EvaluationSummary, _ evaluation: Evaluation, _ rows: [ScoreTable.Row],
    _ cases: [Int: EvaluationReport.Case]
  ) throws -> EvaluationReport {
    let record = checkpoint.record
    let model = detector.architecture.model
    let highest =
      options.scales == .all && options.score == .maximum ? record.normalStatistics?.imageScore.maximum : nil
    return EvaluationReport(
      summary: summary, evaluation: evaluation, images: rows, highestTrainingScore: highest,
      lossHistory: record.lossHistory, cases: cases,
      provenance: [
        ("Checkpoint", checkpointName), ("SHA-256", try checkpoint.sha256()),
        ("Training", "\(record.step) steps, \(record.producer)"), ("Fingerprint of its images", record.dataFingerprint),
        ("SHA-256 of the teacher", record.teacherHash),
        ("Test images", options.data + (options.category.map { "/\($0)" } ?? "") + ", \(rows.count) of them"),
        ("Scored scales", summary.scales), ("Image score", "\(summary.score) of the anomaly map"),
        ("Evaluation", "\(versionText(tool: "rd-eval")), \(Date().formatted(.iso8601))"),
      ], configuration: record.configuration,
      machine: [
        ("Model", "\(model.backbone.rawValue) at \(model.imageSize) pixels"),
        ("Arithmetic", "\(options.engine.rawValue), \(options.precision.rawValue)"),
        ("Ranks", "\(communicator.size), of \(team.count) threads"),
      ])
  }

  private func describe(_ metrics: DetectionMetrics) -> String {
    func shown(_ value: Double?) -> String { value.map { String(format: "%.4f", $0) } ?? "-" }
    return
      "image AUROC \(shown(metrics.imageAUROC)), pixel AUROC \(shown(metrics.pixelAUROC)), AUPRO \(shown(metrics.aupro))"
  }

  /// The image's own name, with .png behind it where it is of another kind: 001.jpg and 001.png may both be there.
  private func pictureName(of entry: TestEntry) -> String {
    let name = entry.image.relativePath.split(separator: "/").last.map(String.init) ?? ""
    return name.lowercased().hasSuffix(".png") ? name : name + ".png"
  }
}
