import Diagnostics
import Foundation
import Testing

@testable import Imagery

@Suite struct DataSetAuditTests {
  private func png(_ value: UInt8, width: Int = 4, height: Int = 4, channels: Int = 1) throws -> [UInt8] {
    try Raster(width: width, height: height, channels: channels, filledWith: value).encodedPNG()
  }

  @Test func everyFaultIsFound() throws {
    try withTemporaryFolder { folder in
      try lay(
        [
          "train/good/a.png": png(1), "train/good/b.png": png(2), "train/good/c.png": png(2),
          "train/good/broken.png": [1, 2, 3], "train/good/large.png": png(9, width: 8), "test/good/leak.png": png(1),
          "test/cut/1.png": png(3), "test/cut/2.png": png(4), "test/hole/1.png": png(5), "test/hole/2.png": png(6),
          "ground_truth/cut/1_mask.png": png(255), "ground_truth/hole/1_mask.png": png(255, width: 5),
          "ground_truth/hole/2.png": png(0), "ground_truth/hole/9_mask.png": png(255),
        ], in: folder)
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/train/good/link.png", withDestinationPath: "nowhere")
      var calls: [Int] = []
      let audit = try DataSetAudit(of: DataSet(folder)) { done, total in calls.append(10 * done + total) }
      #expect(calls.count == 10 && calls.last == 110)
      #expect((audit.training, audit.testNormal, audit.testAnomalous) == (5, 1, ["cut": 2, "hole": 2]))
      #expect(
        audit.sizes == [.init(width: 4, height: 4, count: 8), .init(width: 8, height: 4, count: 1)])
      #expect(audit.unreadable.map(\.image) == ["train/good/link.png", "train/good/broken.png"])
      #expect(
        audit.duplicates == [
          .init(images: ["test/good/leak.png", "train/good/a.png"], areTrainedOnAndTested: true),
          .init(images: ["train/good/b.png", "train/good/c.png"], areTrainedOnAndTested: false),
        ])
      #expect(audit.imagesWithoutMasks == ["test/cut/2.png"])
      #expect(audit.masksWithoutImages == ["\(folder)/ground_truth/hole/9_mask.png"])
      #expect(audit.unusableMasks.map(\.image) == ["test/hole/1.png", "test/hole/2.png"])
      #expect(audit.unusableMasks.map(\.reason).joined().contains("5 x 4 pixels, the image 4 x 4"))
      #expect(audit.text.contains("1 normal, 4 anomalous (80 %): cut 2, hole 2"))
      #expect(audit.text.contains("test/good/leak.png = train/good/a.png"))
      let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(audit)) as? [String: Any]
      #expect(json?["test_normal"] as? Int == 1 && (json?["duplicates"] as? [Any])?.count == 2)
    }
  }

  @Test func halfADataSetIsLookedAt() throws {
    try withTemporaryFolder { folder in
      try lay(["train/good/a.png": png(1)], in: folder)
      let audit = try DataSetAudit(of: DataSet(folder))
      #expect(audit.training == 1 && audit.missing == ["\(folder): holds no folder test"])
      #expect(failure({ try DataSetAudit(of: DataSet("\(folder)/nowhere")) })?.code == .badData)
    }
  }
}
