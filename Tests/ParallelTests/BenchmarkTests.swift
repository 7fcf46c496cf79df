import Foundation
import TestSupport
import Testing

extension ParallelTests {
  /// rd-bench measures something; how much is no matter here.
  @Suite struct Benchmarks {
    struct Report: Decodable {
      struct Row: Decodable {
        let name: String
        let medianSeconds: Double
        let minimumSeconds: Double
        let gflops: Double?
        let shareOfPeak: Double?
      }

      let benchmark: String
      let peakGflops: Double
      let copyGigabytesPerSecond: Double?
      let imagesPerSecond: Double?
      let parameters: Int?
      let peakMemoryBytes: Int?
      let rows: [Row]
    }

    static let small = ["--backbone", "resnet18", "--size", "64"]
    static let short = small + ["--warmup", "0", "--steps", "1"]

    private func report(_ arguments: [String], ranks: Int? = nil) throws -> Report {
      let folder = try TemporaryFolder()
      let outcome = try ToolProcess.run("rd-bench", arguments + ["--json", folder("report.json")], ranks: ranks)
      try #require(outcome.code == 0, "\(outcome.errors)")
      #expect(outcome.output.hasPrefix("\(arguments[0]): "))
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      let report = try decoder.decode(Report.self, from: Data(contentsOf: URL(fileURLWithPath: folder("report.json"))))
      #expect(report.benchmark == arguments[0])
      #expect(report.peakGflops > 0)
      for row in report.rows {
        #expect(row.minimumSeconds > 0 && row.medianSeconds >= row.minimumSeconds, "\(row)")
        #expect(row.gflops.map { $0 > 0 } ?? true, "\(row)")
        #expect((row.shareOfPeak != nil) == (row.gflops != nil), "\(row)")
      }
      return report
    }

    @Test func aReportThatCannotBeWrittenIsSaid() throws {
      let outcome = try ToolProcess.run("rd-bench", ["peak", "--threads", "1", "--json", "/nowhere/report.json"])
      #expect(outcome.code == 74 && outcome.errors.contains("/nowhere/report.json"), "\(outcome.errors)")
    }

    @Test func theMachine() throws {
      #expect(try #require(report(["peak", "--threads", "2"]).copyGigabytesPerSecond) > 0)
    }

    @Test func layers() throws {
      let report = try report(["layers"] + Self.small + ["--batch", "2", "--repeats", "1"])
      #expect(report.rows.contains { $0.name == "512->256 up 2x2/2 2x2 weight gradient" })
      #expect(report.rows.allSatisfy { $0.gflops != nil })
    }

    @Test(arguments: [
      (nil, [], ["input", "student forward", "student backward", "Adam", "step"]),
      (nil, ["--no-feature-cache"], ["teacher", "student forward", "student backward", "Adam", "step"]),
      (3, [], ["input", "student forward", "student backward", "reduction", "Adam", "step"]),
    ])
    func step(ranks: Int?, options: [String], parts: [String]) throws {
      let report = try report(["step"] + Self.short + ["--batch", "2"] + options, ranks: ranks)
      #expect(report.rows.map(\.name) == parts)
      let total = try #require(report.rows.last).medianSeconds
      #expect(abs(report.rows.dropLast().reduce(0) { $0 + $1.medianSeconds } - total) < 0.01 * total)
      #expect(report.imagesPerSecond.map { abs($0 * total - 2) < 1e-6 } == true)
      #expect(report.parameters == 15_383_168)
      #expect(try #require(report.peakMemoryBytes) > 1 << 20)
    }

    @Test func inference() throws {
      let report = try report(["inference"] + Self.short)
      #expect(report.rows.map(\.name) == ["teacher", "student and map", "image"])
      #expect(try #require(report.imagesPerSecond) > 0)
      #expect(try #require(report.peakMemoryBytes) > 1 << 20)
    }

    @Test func metrics() throws {
      let report = try report(["metrics", "--images", "8", "--size", "32", "--memory", "1", "--repeats", "1"])
      #expect(report.rows.count == 5 && report.rows.last?.name == "all")
      #expect(try #require(report.imagesPerSecond) > 0)
    }

    @Test func moreRanksThanShardsAreRefused() throws {
      let outcome = try ToolProcess.run("rd-bench", ["step"] + Self.short + ["--shards", "2"], ranks: 3)
      #expect(outcome.code == 64)
      #expect(outcome.count(of: "3 ranks cannot share 2 logical shards") == 1)
    }
  }
}
