// A process for tests that look at all of its memory: `training-probe allocations ENGINE PRECISION BACKBONE`, `training-probe peak TOML`.
import CCountedMemory
import Collectives
import Diagnostics
import Distillation
import Foundation
import Jobs
import Network
import Numerics
import Training

/// The heap's use and the threads of training steps after the second, without input.
func countAllocations(_ engineName: String, _ precision: String, _ backbone: String) throws {
  guard let kind = EngineKind(rawValue: engineName), let precision = Precision(rawValue: precision),
    let backbone = Backbone(rawValue: backbone)
  else { throw Failure(.usage, "no such engine, precision or backbone") }
  let team = ThreadTeam(count: 2)
  defer { team.finish() }
  let communicator = LocalCommunicator()
  let architecture = Architecture(ModelConfiguration(backbone: backbone, imageSize: 64))
  let tree = try ShardTree(shards: 4, ranks: 1)
  let step = TrainingStep(
    engine: try kind.start(on: team, precision: precision), tree: tree, communicator: communicator, capacity: 6)
  let student = Student(architecture, step: step)
  try student.initialize(seed: 1)
  let adam = Adam(
    step.parameters, learningRate: 0.005, beta1: 0.5, beta2: 0.999, tree: tree, communicator: communicator, team: team)
  let one = FloatBuffer((0..<FeatureBuffer.countPerImage(architecture)).map { Float($0 * 7919 % 1009) / 1009 - 0.5 })
  let features = FeatureBuffer(architecture, images: 6)
  for image in 0..<6 { features.copy(from: one.pointer, toImage: image) }

  for number in 1...4 {
    // Shards of which some have more images than others, and one may have none.
    step.begin(imagesPerShard: number == 4 ? [1, 1, 1, 0] : [2, 2, 1, 1], batch: number == 4 ? 3 : 6)
    if number == 3 { rd_count_begin() }
    _ = try student.lossAndGradients(features.features)
    try adam.update(step: number)
  }
  rd_count_end()
  print(rd_counted_allocations(), rd_counted_large_allocations(), rd_counted_threads())
}

/// The most memory that a whole run of rd-train takes, in KiB.
func measurePeak(_ configuration: String) throws {
  let configuration = try TrainingConfiguration(toml: configuration, file: "argument")
  let communicator = LocalCommunicator()
  if configuration.categories == .single {
    try Trainer(configuration, over: communicator, console: Console(rank: 1)).train()
  } else {
    try PackedTraining(configuration, over: communicator).run()
  }
  let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
  print(status.firstMatch(of: /VmHWM:\s+(\d+) kB/).map { String($0.1) } ?? "unknown")
}

do {
  let arguments = Array(CommandLine.arguments.dropFirst())
  switch (arguments.first, arguments.count) {
  case ("allocations", 4): try countAllocations(arguments[1], arguments[2], arguments[3])
  case ("peak", 2): try measurePeak(arguments[1])
  default: throw Failure(.usage, "what to look at?")
  }
} catch {
  FileHandle.standardError.write(Data("\(error)\n".utf8))
  exit(1)
}
