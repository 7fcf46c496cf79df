import Diagnostics
import FileSystem
import Foundation

/// How well the categories of a data set do, one by one and on average: tables 1 and 2 of the paper.
/// Source: H. Deng, X. Li, CVPR 2022; the split into textures and objects: P. Bergmann et al., IJCV 2021.
public struct CategoryTable: Sendable {
  /// Measures from 0 to 1; nil where there is none.
  public struct Measures: Encodable, Sendable, Equatable {
    public var imageAUROC: Double?
    public var pixelAUROC: Double?
    public var aupro: Double?

    public init(imageAUROC: Double?, pixelAUROC: Double?, aupro: Double?) {
      self.imageAUROC = imageAUROC
      self.pixelAUROC = pixelAUROC
      self.aupro = aupro
    }

    var all: [Double?] { [imageAUROC, pixelAUROC, aupro] }

    fileprivate enum CodingKeys: String, CodingKey, CaseIterable {
      case imageAUROC = "image_auroc"
      case pixelAUROC = "pixel_auroc"
      case aupro
    }

    /// Writes what is nil, as null.
    public func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      for (key, value) in zip(CodingKeys.allCases, all) { try container.encode(value, forKey: key) }
    }
  }

  /// A category, or a mean over some.
  public struct Row: Sendable, Equatable {
    public var name: String
    public var measures: Measures

    public init(name: String, measures: Measures) {
      self.name = name
      self.measures = measures
    }
  }

  /// MVTec AD's categories in the paper's order.
  static let textures = ["carpet", "grid", "leather", "tile", "wood"]
  static let objects = [
    "bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "screw", "toothbrush", "transistor", "zipper",
  ]

  /// The categories: MVTec's textures, its objects, then others as they were given.
  public let rows: [Row]
  /// The means of textures and objects, where all categories are MVTec's and both are there, and of all.
  public let means: [Row]

  /// Names of categories, MVTec's in the paper's order and then the others as they are given.
  static func order(_ names: [String]) -> [String] {
    let known = (textures + objects).filter(names.contains)
    return known + names.filter { !known.contains($0) }
  }

  /// - Parameter rows: the categories. One that could not be evaluated has no measures and is in no mean.
  public init(_ rows: [Row]) {
    func chosen(_ names: [String]) -> [Row] { names.flatMap { name in rows.filter { $0.name == name } } }
    let groups = [("textures", chosen(Self.textures)), ("objects", chosen(Self.objects))]
    let known = groups.flatMap(\.1)
    self.rows = known + rows.filter { row in !known.contains { $0.name == row.name } }
    let isSplit = known.count == rows.count && groups.allSatisfy { !$0.1.isEmpty }
    means = ((isSplit ? groups : []) + [("mean", self.rows)]).map { name, rows in
      func mean(_ measure: KeyPath<Measures, Double?>) -> Double? {
        let values = rows.compactMap { $0.measures[keyPath: measure] }
        return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
      }
      return Row(
        name: name,
        measures: Measures(imageAUROC: mean(\.imageAUROC), pixelAUROC: mean(\.pixelAUROC), aupro: mean(\.aupro)))
    }
  }

  // MARK: Forms

  static let titles = ["image AUROC", "pixel AUROC", "AUPRO"]

  /// For a terminal: aligned columns, in percent.
  public var text: String {
    let (rows, means) = (cells(of: rows), cells(of: means))
    let titles = ["%"] + Self.titles
    let rule = titles.indices.map { column in
      String(repeating: "-", count: ([titles] + rows + means).map { $0[column].count }.max() ?? 0)
    }
    return alignedColumns([titles, rule] + rows + [rule] + means, numbers: 1..<4).joined(separator: "\n")
  }

  /// For a document, in percent.
  var markdown: String {
    func line(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |\n" }
    return line(["%"] + Self.titles) + "|---|---:|---:|---:|\n" + cells(of: rows).map(line).joined()
      + cells(of: means).map { line($0.map { "**\($0)**" }) }.joined()
  }

  private func cells(of rows: [Row]) -> [[String]] {
    rows.map { row in [row.name] + row.measures.all.map { $0.map { String(format: "%.1f", 100 * $0) } ?? "-" } }
  }

  /// The categories and the mean, from 0 to 1 with all digits.
  var csv: String {
    let header = ["category"] + Measures.CodingKeys.allCases.map(\.rawValue)
    let lines = (rows + means).map { row in
      [csvField(row.name)] + row.measures.all.map { $0.map { "\($0)" } ?? "" }
    }
    return ([header] + lines).map { $0.joined(separator: ",") + "\n" }.joined()
  }

  /// Writes `table.json`, `table.csv`, `table.md` and `report.html`, each there whole or not at all. The report leads to those of the categories,
  /// in folders of their names.
  /// - Throws: `Failure` of `.inputOutput`.
  public func write(to folder: String) throws {
    let json = ["categories": rows, "means": means].mapValues { rows in
      Dictionary(rows.map { ($0.name, $0.measures) }, uniquingKeysWith: { first, _ in first })
    }
    try writeJSON(json, to: "\(folder)/table.json")
    try writeFile("\(folder)/table.csv", bytes: Array(csv.utf8))
    try writeFile("\(folder)/table.md", bytes: Array(markdown.utf8))
    try writeFile("\(folder)/report.html", bytes: Array(html.utf8))
  }
}
