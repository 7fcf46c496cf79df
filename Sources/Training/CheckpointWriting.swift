import Checkpoints
import Collectives
import Diagnostics
import Foundation
import Jobs
import TensorFiles

extension Trainer {
  /// Writes the checkpoint that ends the run. Where it must do without statistics, what was trained is there all the same, and the same
  /// command has only these left to take.
  func writeLastCheckpoint() throws {
    let statistics: NormalStatistics
    do {
      statistics = try statisticsOfPresentStudent()
    } catch let failure as Failure where failure.isOnAllRanks {
      if step > stepOfCheckpoint { try writeCheckpoint(nil) }
      throw failure
    }
    try writeCheckpoint(statistics)
  }

  /// Writes a checkpoint of the present state to the run's.
  func writeCheckpoint(_ statistics: NormalStatistics?) throws {
    let began = ContinuousClock.now
    try write(to: store, in: run.checkpoints, statistics, called: "checkpoint")
    stepOfCheckpoint = step
    reserve.note(checkpoint: .now - began)
  }

  /// The score statistics of the normal images, taken once a step.
  func statisticsOfPresentStudent() throws -> NormalStatistics {
    if let statistics, statistics.step == step { return statistics.1 }
    return try measure().statistics
  }

  /// Scores the normal images. Collective.
  func measure() throws -> (statistics: NormalStatistics, loss: Double) {
    let measured = try measureNormalImages()
    statistics = (step, measured.statistics)
    return measured
  }

  /// Writes a checkpoint of the present state; rank 0 does, and all ranks know how it went. No rank has all of it in memory at a time.
  func write(to store: CheckpointStore, in folder: String, _ statistics: NormalStatistics?, called name: String) throws
  {
    let moments = adam.moments
    let record = CheckpointRecord(
      configuration: configuration.checkpointText, producer: versionText(tool: "rd-train"), step: step,
      epoch: step / order.stepsPerEpoch, dataFingerprint: inputs.dataFingerprint,
      shardOrder: order.dealt.map(Int32.init), teacherHash: inputs.teacher.hash, lossHistory: losses,
      normalStatistics: statistics)
    let checkpoint = Checkpoint(
      record,
      tensors: [
        .parameters: student.tensors.tensors, .firstMoments: moments.first, .secondMoments: moments.second,
        .teacher: configuration.embedTeacher ? inputs.teacher.table.tensors.map(LazyTensor.init) : [],
      ])
    if communicator.rank != 0 {
      // Rank 0 asks for them as it writes. Where it fails, this throws what it says, and there is nothing left to agree on.
      for tensor in checkpoint[.firstMoments] + checkpoint[.secondMoments] { _ = try tensor.values() }
    }
    try communicator.agree {
      guard communicator.rank == 0 else { return }
      let written = try store.commit(checkpoint)
      console.say("\(name) \(folder)/\(written.name) sha256 \(written.sha256)")
      metrics?.lastCheckpoint = Date()
      do {
        try provenance?.note(checkpoint: written)
      } catch {
        console.warn("\(error)")
      }
    }
  }
}
