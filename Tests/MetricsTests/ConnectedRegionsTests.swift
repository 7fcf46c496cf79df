import Diagnostics
import Foundation
import Metrics
import TestSupport
import Testing

@Suite struct ConnectedRegionsTests {
  struct Case: Decodable {
    let name: String
    let width: Int
    let height: Int
    let mask: Data
    let count: Int
    let labels: Data
  }

  @Test func agreesWithSciPy() throws {
    for example in try fixture("regions", in: .module, as: [Case].self) {
      let name = Comment(rawValue: example.name)
      let regions = try ConnectedRegions(of: example.mask.flags, width: example.width, height: example.height)
      let expected = example.labels.numbers(Int32.self)
      #expect(regions.count == example.count, name)
      #expect(regions.labels == expected, name)
      #expect(regions.areas == (0..<example.count).map { region in expected.count { $0 == region + 1 } }, name)
      #expect(regions.area == expected.count { $0 != 0 }, name)
    }
  }

  @Test func aMaskOfAnotherSizeIsRejected() {
    for (width, height) in [(3, 3), (3, 1), (0, 0), (-2, -2)] {
      #expect(throws: Failure.self) {
        _ = try ConnectedRegions(of: [true, false, true, true], width: width, height: height)
      }
    }
  }
}
