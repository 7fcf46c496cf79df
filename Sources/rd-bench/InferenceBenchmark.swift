import Distillation
import Jobs
import Numerics
import TensorFiles

/// Times the way of one random image from pixels to score, as rd-eval goes it.
func measureInference(
  _ model: ModelOptions, team: ThreadTeam, _ timing: TimingOptions, into report: inout Report
) throws {
  let architecture = model.architecture
  let engine = try model.startEngine(on: team)
  let teacher = try Teacher(
    architecture, weights: TeacherWeights(randomWithSeed: 1, for: architecture), engine: engine, capacity: 1)
  let weights = Initialization.tensors(of: architecture.studentUnits, seed: 1)
  let detector = try Detector(
    architecture, student: LazyTensors(weights, source: "random"), engine: engine, capacity: 1,
    grid: TileGrid(perSide: 1, tileSide: architecture.model.imageSize), activations: teacher.activations)
  let pixels = randomBuffer(architecture.teacherStem.shape.inputCount)
  let features = FeatureBuffer(architecture, images: 1)

  var (teaching, detecting): ([Double], [Double]) = ([], [])
  for step in 0..<timing.warmup + timing.steps {
    let teacherTime = try seconds { try teacher.forward(pixels.pointer, images: 1, into: features) }
    let detectorTime = try seconds { _ = try detector.detect(images: 1, through: features) { _ in } }
    guard step >= timing.warmup else { continue }
    teaching.append(teacherTime)
    detecting.append(detectorTime)
  }
  let (teacherWork, studentWork) = (architecture.teacherWork, architecture.studentForwardWork)
  report.add("teacher", teaching, work: teacherWork)
  report.add("student and map", detecting, work: studentWork)
  report.add("image", zip(teaching, detecting).map(+), work: teacherWork + studentWork)
  report.imagesPerSecond = report.rows.last.map { 1 / $0.medianSeconds }
  report.peakMemoryBytes = ProcessMemory.peak
}
