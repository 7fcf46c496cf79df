import Diagnostics
import Foundation
import TestSupport
import Testing

@testable import Training

@Suite struct EventLogTests {
  private static func event(_ step: Int) -> StepEvent {
    StepEvent(
      step: step, epoch: 1, loss: 0.5, imagesPerSecond: 1, computeSeconds: 1, communicationSeconds: 0, inputSeconds: 0)
  }

  private static var evaluation: EvaluationEvent {
    EvaluationEvent(
      step: 3, epoch: 1, validationLoss: 0.25, imageAUROC: 0.5, pixelAUROC: 0.75, aupro: 1, evaluationSeconds: 2.5)
  }

  private static func open(
    _ folder: String, after step: Int, warn: @escaping (String) -> Void = { Issue.record("\($0)") }
  ) throws -> EventLog { try EventLog(RunFolder(folder), after: step, warn: warn) }

  private static func steps(_ path: String) throws -> [Int] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      try JSONDecoder().decode(StepEvent.self, from: Data($0.utf8)).step
    }
  }

  @Test func whatALaterLifeDoesAgainIsDropped() throws {
    let folder = try TemporaryFolder()
    let path = folder("log.jsonl")
    let first = try Self.open(folder.path, after: 0)
    for step in 1...5 { try first.append(Self.event(step)) }
    // As a crash may cut a line off.
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"step\":6,".utf8))
    let second = try Self.open(folder.path, after: 3)
    try second.append(Self.event(4))
    #expect(try Self.steps(path) == [1, 2, 3, 4])
    #expect(try Self.table(folder("log.csv")).map { $0["step"] } == ["1", "2", "3", "4"])
    #expect(try Self.records(folder("events.out.tfevents")).count == 5)
  }

  // MARK: Forms

  /// The lines of a CSV file, by the names of their columns.
  private static func table(_ path: String) throws -> [[String: String]] {
    let rows = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      .map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
    let columns = try #require(rows.first)
    return rows.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(columns, $0)) }
  }

  /// The messages in a file of TFRecords whose lengths go up in its size.
  private static func records(_ path: String) throws -> [Data] {
    var rest = try Data(contentsOf: URL(fileURLWithPath: path))[...]
    var records: [Data] = []
    while !rest.isEmpty {
      let length = Int(try #require(Data(rest.prefix(8)).numbers(UInt64.self).first))
      records.append(Data(rest.dropFirst(12).prefix(length)))
      try #require(rest.count >= length + 16)
      rest = rest.dropFirst(length + 16)
    }
    return records
  }

  @Test func everyNumberIsInTheTable() throws {
    let folder = try TemporaryFolder()
    let log = try Self.open(folder.path, after: 0)
    let before = Date()
    try log.append(Self.event(3))
    try log.append(Self.evaluation)
    let lines = try String(contentsOfFile: folder("log.jsonl"), encoding: .utf8).split(separator: "\n")
    let rows = try Self.table(folder("log.csv"))
    #expect(lines.count == 2 && rows.count == 2)
    for (line, row) in zip(lines, rows) {
      let values = try JSONDecoder().decode([String: Double].self, from: Data(line.utf8))
      #expect(values.count >= 8)
      for (name, value) in values { #expect(row[name].flatMap(Double.init) == value, "\(name)") }
      #expect(row.values.filter { !$0.isEmpty }.count == values.count)
      #expect(abs(try #require(values["time"]) - before.timeIntervalSince1970) < 60)
    }
    #expect(rows[0]["step"] == "3" && rows[1]["loss"] == "" && rows[1]["aupro"] == "1")
  }

  /// The bytes of `scripts/fixtures/tensorboard.py`, which can also have TensorBoard read a run's file.
  @Test func tensorBoardsFileHasTheBytesThatItsOwnWriterMakes() throws {
    let lines = [
      #"{"compute_seconds":1.5,"epoch":1,"images_per_second":7.25,"loss":0.1,"step":1,"time":1700000000.125}"#,
      #"{"aupro":1,"epoch":300,"evaluation_seconds":2,"step":70000,"time":1700000001,"validation_loss":1e-20}"#,
    ]
    let form = TensorBoardRecords()
    let records = try lines.map { try #require(LogRecord(line: $0.utf8)) }
    let bytes = form.header(at: records[0].time) + records.flatMap(form.bytes)
    let expected: Data = try fixture("tensorboard", in: .module)
    #expect(Data(bytes) == expected)
  }

  @Test func theLogsOfARunThatGoesOnBeginWithTheSameBytes() throws {
    let (folder, manager) = (try TemporaryFolder(), FileManager.default)
    let first = try Self.open(folder.path, after: 0)
    for step in 1...3 { try first.append(Self.event(step)) }
    try first.append(Self.evaluation)
    let names = ["log.jsonl", "log.csv", "events.out.tfevents"]
    let before = names.map { manager.contents(atPath: folder($0)) }
    let second = try Self.open(folder.path, after: 3)
    try second.append(Self.event(4))
    for (name, before) in zip(names, before) {
      let (before, after) = (try #require(before), try #require(manager.contents(atPath: folder(name))))
      // TensorBoard's file begins with the time of its making, or of its first event.
      let skipped = name == "events.out.tfevents" ? 64 : 0
      #expect(after.count > before.count && after.dropFirst(skipped).starts(with: before.dropFirst(skipped)), "\(name)")
    }
  }

  /// Lines of older versions have no time.
  @Test func logsOfOlderVersionsAreRead() throws {
    let folder = try TemporaryFolder()
    let line =
      #"{"epoch":1,"images_per_second":1,"loss":0.5,"step":1,"compute_seconds":1,"communication_seconds":0,"input_seconds":0}"#
    try Data((line + "\n").utf8).write(to: URL(fileURLWithPath: folder("log.jsonl")))
    _ = try Self.open(folder.path, after: 1)
    #expect(try Self.steps(folder("log.jsonl")) == [1])
    #expect(try Self.table(folder("log.csv"))[0]["time"] == "")
  }

  // MARK: Full disks

  /// Lines that find no room are said once, and are there when there is some.
  @Test(.enabled(if: SmallDisk.isPossible, "only root can mount a small file system"))
  func linesWaitForTheDisk() throws {
    let disk = try SmallDisk(kilobytes: 512)
    let path = disk("log.jsonl")
    var warnings: [String] = []
    let log = try Self.open(disk.path, after: 0) { warnings.append($0) }
    try disk.fill("ballast")
    for step in 1...100 { try log.append(Self.event(step)) }
    #expect(warnings.count == 1 && warnings[0].contains("log.jsonl: cannot be written: No space left on device"))
    #expect(throws: Failure.self) { try log.finish() }
    try FileManager.default.removeItem(atPath: disk("ballast"))
    try log.append(Self.event(101))
    #expect(try Self.steps(path) == Array(1...101))
    try disk.fill("ballast")
    for step in 102...300 { try log.append(Self.event(step)) }
    #expect(warnings.count == 2)
    try FileManager.default.removeItem(atPath: disk("ballast"))
    try log.finish()
    #expect(try Self.steps(path) == Array(1...300))
    #expect(try Self.table(disk("log.csv")).compactMap { $0["step"].flatMap { Int($0) } } == Array(1...300))
    #expect(try Self.records(disk("events.out.tfevents")).count == 301)
  }

  // MARK: Metrics

  private static func metrics(_ path: String) throws -> [String: Double] {
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").filter { !$0.hasPrefix("#") }
    return try Dictionary(
      uniqueKeysWithValues: lines.map { line in
        let match = try #require(line.wholeMatch(of: /rd_train_([a-z_]+)\{run="a \\"b\\""\} ([-+.e0-9]+)/))
        return (String(match.1), try #require(Double(match.2)))
      })
  }

  @Test func metricsSayHowTheRunIs() throws {
    let folder = try TemporaryFolder()
    let path = folder("new/metrics.prom")
    let file = try MetricsFile(path, run: "a \"b\"", step: 2, of: 9, lastCheckpoint: nil) { Issue.record("\($0)") }
    let start = try Self.metrics(path)
    #expect(
      start["step"] == 2 && start["steps"] == 9 && start["loss"] == nil && start["last_checkpoint_age_seconds"] == nil)
    file.lastCheckpoint = Date(timeIntervalSinceNow: -100)
    file.update(Self.event(3), isLast: false)
    file.update(Self.event(4), isLast: false)
    let later = try Self.metrics(path)
    #expect(later["step"] == 3 && later["loss"] == 0.5 && later["images_per_second"] == 1)
    #expect(try abs(#require(later["last_checkpoint_age_seconds"]) - 100) < 30)
    file.update(Self.event(9), isLast: true)
    #expect(try Self.metrics(path)["step"] == 9)
    file.lastCheckpoint = Date()
    #expect(try #require(Self.metrics(path)["last_checkpoint_age_seconds"]) < 30)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder("new")) == ["metrics.prom"])
  }

  @Test(.enabled(if: SmallDisk.isPossible, "only root can mount a small file system"))
  func aFullDiskKeepsTheLastMetrics() throws {
    let disk = try SmallDisk(kilobytes: 64)
    var warnings: [String] = []
    let file = try MetricsFile(disk("m"), run: "a \"b\"", step: 2, of: 9, lastCheckpoint: nil) { warnings.append($0) }
    try disk.fill("ballast")
    for step in 3...5 { file.update(Self.event(step), isLast: true) }
    #expect(warnings.count == 1 && warnings[0].contains("m: cannot be written: No space left on device"))
    #expect(try Self.metrics(disk("m"))["step"] == 2)
    try FileManager.default.removeItem(atPath: disk("ballast"))
    file.update(Self.event(6), isLast: true)
    #expect(try Self.metrics(disk("m"))["step"] == 6)
  }
}
