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
import TensorFiles
import Training

/// What an evaluation is told.
public struct EvaluationOptions: Sendable {
  /// A run's folder, whose newest valid checkpoint is taken, or a checkpoint.
  public var checkpoint: String
  /// Folder of the data set; pictures lie in `data/category/test/KIND`, or in `data/test/KIND` without a category.
  public var data: String
  public var category: String?
  /// Where the results go.
  public var output: String
  /// The teacher's weights, where the checkpoint holds their hash only.
  public var teacher: String?
  public var scales: ScoredScales
  public var score: ImageScore
  public var engine: TrainingConfiguration.Engine
  public var precision: Precision
  public var threads: Int?

  public init(
    checkpoint: String, data: String, category: String? = nil, output: String, teacher: String? = nil,
    scales: ScoredScales = .all, score: ImageScore = .maximum, engine: TrainingConfiguration.Engine = .vector,
    precision: Precision = .fp32, threads: Int? = nil
  ) {
    self.checkpoint = checkpoint
    self.data = data
    self.category = category
    self.output = output
    self.teacher = teacher
    self.scales = scales
    self.score = score
    self.engine = engine
    self.precision = precision
    self.threads = threads
  }
}

/// Scores the test images of a data set with a checkpoint, each rank its share of them, and measures how well that finds the defects.
public final class Evaluator {
  private let options: EvaluationOptions
  private let communicator: any Communicator
  private let console: Console
  private let checkpointName: String
  private let step: Int
  private let normalStatistics: NormalStatistics?
  private let entries: [TestEntry]
  private let extractor: FeatureExtractor
  private let detector: Detector
  private let team: ThreadTeam
  private var architecture: Architecture { detector.architecture }
  private var side: Int { architecture.model.imageSize }
  /// The numbers of this rank's images among all entries.
  private var own: Range<Int> { evenRange(communicator.rank, of: communicator.size, count: entries.count) }

  /// Collective.
  /// - Throws: on all ranks the same `Failure` that says what is wrong.
  public init(_ options: EvaluationOptions, over communicator: any Communicator, console: Console) throws {
    self.options = options
    self.communicator = communicator
    self.console = console
    try communicator.comparePrograms()
    let (checkpoint, checkpointName) = try communicator.agree {
      try openCheckpoint(options.checkpoint, withTeacher: options.teacher == nil, console: console)
    }
    let record = checkpoint.record
    try communicator.compareAcrossRanks(
      "\(checkpointName), \(record.step) steps, last loss \(record.lossHistory.last ?? .nan)",
      what: "the checkpoint",
      hint: "is a training still writing? Name the checkpoint instead of the folder")
    self.checkpointName = checkpointName
    step = record.step
    normalStatistics = record.normalStatistics
    let configuration = try communicator.agree {
      try TrainingConfiguration(data: "", teacher: "", output: "")
        .restored(from: record.configuration, file: checkpointName)
    }
    entries = try communicator.agree { try MVTecDataSet.test(at: options.data, category: options.category) }
    let names = SHA256.hexDigest(of: entries.map(\.image.relativePath).joined(separator: "\n").utf8)
    try communicator.compareAcrossRanks(names, what: "the test images")

    let architecture = Architecture(configuration.model)
    let team = ThreadTeam(count: try options.threads ?? Placement(communicator).threads)
    self.team = team
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
  }

  /// Writes `metrics.json`, `scores.csv`, `overview.png`, and in `maps/` a picture for every image and all raw maps in `maps.h5`. Collective.
  public func evaluate() throws {
    let detections = try communicator.agree { try detectOwnImages() }
    let scores = try gather(detections.map(\.score))
    let maxima = try gather(detections.flatMap { $0.scaleMaps.map { Double($0.max() ?? 0) } })
    let highest = try gather(detections.map { Double($0.map.max() ?? 0) }).max() ?? 0
    let lowest = try gather(detections.map { Double($0.map.min() ?? 0) }).min() ?? 0

    let pictures = ResultPictures(scale: try heatMapScale(lowest: lowest, highest: highest))
    try communicator.agree { try drawOwnImages(detections, pictures) }
    let maps = try gather(detections.flatMap(\.map))
    let seconds = try gather([inferenceSeconds]).reduce(0, +) / Double(entries.count)
    let memory = try gather([peakMemory()]).max()
    try communicator.agree {
      guard communicator.rank == 0 else { return }
      try writeOverview(scores: scores, maps: maps, pictures)
      try writeResults(scores: scores, maxima: maxima, maps: maps, seconds: seconds, memory: memory)
    }
    team.finish()
  }

  // MARK: This rank's images

  /// From normalised pictures to scores.
  private var inferenceSeconds = 0.0

  private func detectOwnImages() throws -> [Detection] {
    let features = FeatureBuffer(architecture, images: FeatureExtractor.imagesAtATime)
    var detections: [Detection] = []
    for start in stride(from: own.lowerBound, to: own.upperBound, by: FeatureExtractor.imagesAtATime) {
      let part = entries[start..<min(start + FeatureExtractor.imagesAtATime, own.upperBound)]
      try extractor.read(part.map(\.image.path))
      let began = ContinuousClock.now
      try extractor.extract(part.count, into: features)
      detections += try detector.detect(features.features, images: part.count)
      inferenceSeconds += (ContinuousClock.now - began).seconds
      console.progress(detections.count, of: own.count, "image \(detections.count)/\(own.count)")
    }
    return detections
  }

  private func drawOwnImages(_ detections: [Detection], _ pictures: ResultPictures) throws {
    for kind in Set(entries[own].map(\.kind)) { try makeFolder("\(options.output)/maps/\(kind)") }
    try makeFolder("\(options.output)/maps")
    try team.run(detections.count) { index, _ in
      let entry = entries[own.lowerBound + index]
      try picture(of: entry, map: detections[index].map, pictures)
        .writePNG(to: "\(options.output)/maps/\(entry.kind)/\(pictureName(of: entry))")
    }
  }

  /// The image, its heat map, and its mask if it has one, side by side.
  private func picture(of entry: TestEntry, map: [Float], _ pictures: ResultPictures) throws -> Raster {
    let image = try ImageFile.decode(entry.image.path).resized(width: side, height: side)
    return try pictures.panel(image: image, map: map, side: side, mask: mask(of: entry))
  }

  /// One scale for the whole set. Where the normal images were scored, their usual values stay dark, and the highest of them does not pass
  /// the middle: so normal images look normal even where nothing else is in the set.
  private func heatMapScale(lowest: Double, highest: Double) throws -> HeatMapScale {
    guard let normal = normalStatistics else { return try HeatMapScale(low: lowest, high: highest) }
    let usual = options.scales.scales.reduce(0.0) { sum, scale in
      let statistics = normal.scales[scale.rawValue - 1]
      return sum + (statistics.quantiles.first { $0.probability == 0.5 }?.value ?? statistics.mean)
    }
    let normalHighest = options.scales == .all ? normal.imageScore.maximum : usual
    return try HeatMapScale(low: usual, high: max(highest, usual + 2 * (normalHighest - usual), usual))
  }

  // MARK: Results

  /// A sheet of the image of each kind that scores highest.
  private func writeOverview(scores: [Double], maps: [Float], _ pictures: ResultPictures) throws {
    let size = side * side
    let highest = Dictionary(grouping: entries.indices) { entries[$0].kind }.values.compactMap { images in
      images.max { scores[$0] < scores[$1] }
    }
    let sheet = try highest.sorted().map { index in
      try picture(of: entries[index], map: Array(maps[index * size..<(index + 1) * size]), pictures)
    }
    try contactSheet(sheet, columns: 2).writePNG(to: "\(options.output)/overview.png")
  }

  private func writeResults(
    scores: [Double], maxima: [Double], maps: [Float], seconds: Double, memory: Int?
  ) throws {
    let size = side * side
    var images: [ScoredImage] = []
    var warnings: [String] = []
    let archive = try MapArchive(
      path: "\(options.output)/maps/maps.h5", size: side, scales: options.scales.scales.map(\.rawValue),
      producer: versionText(tool: "rd-eval"))
    for (index, entry) in entries.enumerated() {
      let map = Array(maps[index * size..<(index + 1) * size])
      let mask = try mask(of: entry)
      if entry.isAnomalous, mask == nil {
        warnings.append("\(entry.image.relativePath): no mask; left out of the pixel metrics")
      } else if entry.isAnomalous, mask?.contains(true) == false {
        warnings.append("\(entry.image.relativePath): the mask marks no pixel at \(side) pixels; counted as background")
      }
      images.append(
        ScoredImage(score: scores[index], defect: entry.isAnomalous ? entry.kind : nil, map: map, mask: mask))
      try archive.append(path: entry.image.relativePath, score: scores[index], map: map)
    }
    try archive.finish()
    let evaluation = try Evaluation(images: images, width: side, height: side)
    try ScoreTable.write(
      entries.indices.map { index in
        ScoreTable.Row(
          path: entries[index].image.relativePath, kind: entries[index].kind, isAnomalous: entries[index].isAnomalous,
          score: scores[index], scaleMaxima: (0..<3).map { maxima[3 * index + $0] })
      }, to: "\(options.output)/scores.csv")
    let anomalous = entries.count(where: \.isAnomalous)
    try EvaluationSummary(
      category: options.category, checkpoint: String(checkpointName.split(separator: "/").last ?? ""),
      step: step, evaluation: evaluation,
      images: .init(normal: entries.count - anomalous, anomalous: anomalous), scales: "\(options.scales)",
      score: options.score.rawValue, inferenceSecondsPerImage: seconds, peakMemoryBytes: memory, warnings: warnings
    ).write(to: "\(options.output)/metrics.json")
    warnings.forEach { console.say("warning: \($0)") }
    console.say(describe(evaluation.overall))
    console.say("metrics.json, scores.csv, overview.png and maps/ are in \(options.output)")
  }

  private func describe(_ metrics: DetectionMetrics) -> String {
    func shown(_ value: Double?) -> String { value.map { String(format: "%.4f", $0) } ?? "-" }
    return
      "image AUROC \(shown(metrics.imageAUROC)), pixel AUROC \(shown(metrics.pixelAUROC)), AUPRO \(shown(metrics.aupro))"
  }

  /// The defect's pixels at the network's resolution; nil for normal images and where there is no mask.
  private func mask(of entry: TestEntry) throws -> [Bool]? {
    try entry.maskPath.map { try ImageFile.decodeMask($0).resized(width: side, height: side).binaryMask() }
  }

  /// The image's own name, with .png behind it where it is of another kind: 001.jpg and 001.png may both be there.
  private func pictureName(of entry: TestEntry) -> String {
    let name = entry.image.relativePath.split(separator: "/").last.map(String.init) ?? ""
    return name.lowercased().hasSuffix(".png") ? name : name + ".png"
  }

  private func gather<Value: BitwiseCopyable>(_ values: [Value]) throws -> [Value] {
    try communicator.allGather(values: values)
  }
}

/// A checkpoint by its path, or the newest in a run's folder of which all that is needed is valid.
private func openCheckpoint(
  _ path: String, withTeacher: Bool, console: Console
) throws -> (CheckpointFile, String) {
  guard isFolder(path) else { return (try CheckpointFile(path: path), path) }
  let folder = RunFolder(path).checkpoints
  let store = CheckpointStore(storage: FolderStorage(isFolder(folder) ? folder : path)) {
    console.say("warning: \($0.name): \($0.reason)")
  }
  guard let newest = try store.newestValid(withTeacher ? [.parameters, .teacher] : [.parameters]) else {
    throw Failure(
      .badData, "\(path): holds no checkpoint",
      hint: "give the folder that rd-train wrote to (--output), or a checkpoint")
  }
  return (newest.checkpoint, newest.name)
}

/// The teacher that a checkpoint was trained with: its own copy, or the file that is given.
private func teacher(
  of checkpoint: CheckpointFile, named name: String, given: String?, for architecture: Architecture
) throws -> TeacherWeights {
  let weights: TeacherWeights
  if let given {
    weights = try TeacherWeights(source: given, for: architecture)
  } else if !checkpoint[.teacher].names.isEmpty {
    let own = try checkpoint[.teacher].tensors.map { try $0.loaded() }
    weights = try TeacherWeights(TensorTable(own, source: name), for: architecture)
  } else {
    throw Failure(.usage, "\(name): the checkpoint holds no teacher", hint: "give the teacher's file as --teacher")
  }
  guard weights.hash == checkpoint.record.teacherHash else {
    throw Failure(
      .badData, "\(given ?? name): not the teacher that the student was trained with",
      hint: "leave --teacher out, or give the file of the training")
  }
  return weights
}

/// The most memory that this process has had, in bytes.
private func peakMemory() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss * 1024
}
