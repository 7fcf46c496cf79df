import Foundation
import TestSupport
import Testing

@testable import Reports

@Suite struct CategoryTableTests {
  private static func row(_ name: String, _ image: Double?, _ pixel: Double?, _ aupro: Double?) -> CategoryTable.Row {
    .init(name: name, measures: .init(imageAUROC: image, pixelAUROC: pixel, aupro: aupro))
  }

  private let mixed = CategoryTable([
    row("screw", 1, 0.5, nil), row("wood", 0.9876, 0.25, 0.125), row("bottle", nil, nil, nil), row("tile", 0.5, 1, 0),
  ])

  @Test func mvtecsCategoriesHaveThePapersOrderAndMeans() {
    #expect(mixed.rows.map(\.name) == ["tile", "wood", "bottle", "screw"])
    #expect(
      mixed.means == [
        Self.row("textures", (0.5 + 0.9876) / 2, 0.625, 0.0625), Self.row("objects", 1, 0.5, nil),
        Self.row("mean", (0.5 + 0.9876 + 1) / 3, (1 + 0.25 + 0.5) / 3, 0.0625),
      ])
  }

  @Test func otherNamesHaveOneMean() {
    for rows in [[Self.row("surface", 1, 1, 1), Self.row("wood", 0, 0, 0)], [Self.row("wood", 0.5, 0.5, 0.5)]] {
      let table = CategoryTable(rows)
      #expect(table.means == [Self.row("mean", 0.5, 0.5, 0.5)])
      #expect(Set(table.rows.map(\.name)) == Set(rows.map(\.name)))
    }
    #expect(CategoryTable([]).means == [Self.row("mean", nil, nil, nil)])
  }

  @Test func aTerminalSeesColumns() {
    let expected = """
      %         image AUROC  pixel AUROC  AUPRO
      --------  -----------  -----------  -----
      tile             50.0        100.0    0.0
      wood             98.8         25.0   12.5
      bottle              -            -      -
      screw           100.0         50.0      -
      --------  -----------  -----------  -----
      textures         74.4         62.5    6.2
      objects         100.0         50.0      -
      mean             82.9         58.3    6.2
      """
    #expect(mixed.text == expected)
  }

  @Test func filesHaveAllDigits() throws {
    let folder = try TemporaryFolder()
    let table = CategoryTable([Self.row("a,b", 1 / 3, nil, 0.5), Self.row("c", 0.25, nil, 1)])
    try table.write(to: folder.path)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    #expect(names == ["report.html", "table.csv", "table.json", "table.md"])
    let csv = """
      category,image_auroc,pixel_auroc,aupro
      "a,b",0.3333333333333333,,0.5
      c,0.25,,1.0
      mean,0.29166666666666663,,0.75

      """
    #expect(try String(contentsOfFile: folder("table.csv"), encoding: .utf8) == csv)
    let markdown = """
      | % | image AUROC | pixel AUROC | AUPRO |
      |---|---:|---:|---:|
      | a,b | 33.3 | - | 50.0 |
      | c | 25.0 | - | 100.0 |
      | **mean** | **29.2** | **-** | **75.0** |

      """
    #expect(try String(contentsOfFile: folder("table.md"), encoding: .utf8) == markdown)
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: folder("table.json"))))
    let object = try #require(json as? [String: [String: [String: Any]]])
    #expect(Set(object.keys) == ["categories", "means"])
    #expect(object["categories"]?["a,b"]?["image_auroc"] as? Double == 1.0 / 3)
    #expect(object["categories"]?["c"]?["pixel_auroc"] is NSNull)
    #expect(object["means"]?["mean"]?["aupro"] as? Double == 0.75)
  }
}
