import Foundation

/// A table that scrolls by itself where the screen is narrow.
/// - Parameters:
///   - rows: the first cell heads the row; a second line of a cell is smaller.
///   - last: rows that sum up those above.
func dataTable(
  caption: String, columns: [String], rows: [[TableCell]], last: [[TableCell]] = []
) -> HTML {
  func body(_ name: StaticString, _ rows: [[TableCell]]) -> HTML {
    element(name) {
      for row in rows {
        element("tr") {
          for (index, cell) in row.enumerated() {
            if index == 0 { element("th", ["scope": "row"]) { cell.content } } else { element("td") { cell.content } }
          }
        }
      }
    }
  }
  return element("div", ["class": "scroll", "tabindex": "0", "role": "region", "aria-label": caption]) {
    element("table") {
      element("caption") { caption }
      element("thead") {
        element("tr") { for column in columns { element("th", ["scope": "col"]) { column } } }
      }
      body("tbody", rows)
      if !last.isEmpty { body("tfoot", last) }
    }
  }
}

struct TableCell {
  var text: String
  /// A second line.
  var note: String?
  /// Where the text leads, from the page's own folder.
  var link: String?

  init(_ text: String, note: String? = nil, link: String? = nil) {
    self.text = text
    self.note = note
    self.link = link
  }

  @HTMLBuilder fileprivate var content: HTML {
    if let link { element("a", ["href": link]) { text } } else { text }
    if let note { element("small") { note } }
  }
}

/// Names with what they stand for.
func facts(_ facts: [(name: String, value: String)]) -> HTML {
  element("dl", ["class": "facts"]) {
    for fact in facts {
      element("dt") { fact.name }
      element("dd") { fact.value }
    }
  }
}

/// A share in percent, as people compare them.
func percent(_ value: Double?) -> String { value.map { String(format: "%.1f", 100 * $0) } ?? "–" }
