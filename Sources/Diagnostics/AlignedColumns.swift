/// Rows of cells as lines of a table, their columns aligned by spaces, with two between them.
/// - Parameters:
///   - rows: as many cells each; the first may be the headings.
///   - numbers: the columns that stand to the right.
/// - Returns: the lines, without spaces at their ends.
public func alignedColumns(_ rows: [[String]], numbers: Range<Int> = 0..<0) -> [String] {
  let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
  return rows.map { row in
    let cells = row.indices.map { column in
      let space = String(repeating: " ", count: widths[column] - row[column].count)
      return numbers.contains(column) ? space + row[column] : row[column] + space
    }
    let line = cells.joined(separator: "  ")
    return String(line.prefix(line.count - line.reversed().prefix { $0 == " " }.count))
  }
}
