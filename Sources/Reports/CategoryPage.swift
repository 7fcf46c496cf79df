import Foundation

extension CategoryTable {
  /// The table as a page from which the categories' own reports are reached.
  var html: String {
    func cells(of row: Row, link: String? = nil) -> [TableCell] {
      [TableCell(row.name, link: link)] + row.measures.all.map { TableCell(percent($0)) }
    }
    let evaluated = rows.filter { $0.measures.all.contains { $0 != nil } }
    let table = dataTable(
      caption: "Each category and the means, in percent", columns: ["Category"] + Self.titles,
      rows: rows.map { row in cells(of: row, link: evaluated.contains(row) ? Self.report(of: row.name) : nil) },
      last: means.map { cells(of: $0) })
    return page(
      title: "Evaluation of all categories", subtitle: "\(evaluated.count) of \(rows.count) categories were evaluated",
      sections: [(id: "categories", title: "Categories", content: table)])
  }

  /// Where a category's report lies. Begun with "./", it is a place whatever the name is.
  static func report(of category: String) -> String {
    "./\(category.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? category)/report.html"
  }
}
