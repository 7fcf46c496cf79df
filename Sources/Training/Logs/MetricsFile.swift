import FileSystem
import Foundation

/// How a run is at the moment, in Prometheus's text format: node_exporter's textfile collector takes it.
final class MetricsFile {
  private let path: String
  /// The run, as the label of all metrics has it.
  private let run: String
  private let stepCount: Int
  private let warn: (String) -> Void
  private var isFailing = false
  private var lastWritten = Date.distantPast
  private var lastEvent: StepEvent?
  /// When the newest checkpoint was written, where there is one. To set it writes the state.
  var lastCheckpoint: Date? {
    didSet { if let lastEvent { update(lastEvent, isLast: true) } }
  }

  /// Writes the state before the first step.
  /// - Parameter warn: is told when the file can no longer be written.
  /// - Throws: `Failure(.inputOutput)`.
  init(
    _ path: String, run: String, step: Int, of stepCount: Int, lastCheckpoint: Date?,
    warn: @escaping (String) -> Void
  ) throws {
    self.path = path
    self.run = run.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    self.stepCount = stepCount
    self.lastCheckpoint = lastCheckpoint
    self.warn = warn
    try makeFolder(folder(of: path))
    try writeFile(path, bytes: Array(text(step: step, nil, at: Date()).utf8))
  }

  /// Writes the state after a step, once a second at the most. Where that is not possible, as on a full disk, work goes on.
  /// - Parameter isLast: write in any case.
  func update(_ event: StepEvent, isLast: Bool) {
    let now = Date()
    lastEvent = event
    guard isLast || now.timeIntervalSince(lastWritten) >= 1 else { return }
    lastWritten = now
    do {
      try writeFile(path, bytes: Array(text(step: event.step, event, at: now).utf8))
      isFailing = false
    } catch {
      if !isFailing { warn("\(error)\n  training goes on and tries again") }
      isFailing = true
    }
  }

  private func text(step: Int, _ event: StepEvent?, at now: Date) -> String {
    let metrics: [(name: String, help: String, value: Double?)] = [
      ("step", "Steps done.", Double(step)),
      ("steps", "Steps of the whole run.", Double(stepCount)),
      ("epoch", "Epoch of the last step, counted from 1.", event.map { Double($0.epoch) }),
      ("loss", "Loss of the last step.", event?.loss),
      ("images_per_second", "Training images a second in the last step.", event?.imagesPerSecond),
      (
        "last_checkpoint_timestamp_seconds", "When the newest checkpoint was written.",
        lastCheckpoint?.timeIntervalSince1970
      ),
      (
        "last_checkpoint_age_seconds", "Age of the newest checkpoint when this was written.",
        lastCheckpoint.map { now.timeIntervalSince($0) }
      ),
      ("updated_timestamp_seconds", "When this was written.", now.timeIntervalSince1970),
    ]
    return metrics.compactMap { name, help, value in
      value.map {
        "# HELP rd_train_\(name) \(help)\n# TYPE rd_train_\(name) gauge\nrd_train_\(name){run=\"\(run)\"} \($0)\n"
      }
    }.joined()
  }
}
