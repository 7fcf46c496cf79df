import Diagnostics
import Foundation
import Metrics

extension Comparison {
  /// How a comparison is written.
  public enum Form: String, CaseIterable, Sendable { case text, markdown, csv, json }

  /// - Throws: `Failure` of `.internalError` for a number that is not finite.
  public func written(as form: Form) throws -> String {
    switch form {
    case .text: text
    case .markdown: markdown
    case .csv: csv
    case .json: try json
    }
  }

  /// A letter for each column, since paths are long; the paper is called so.
  private var letters: [String] {
    let isPublished = columns[0] == PublishedFigures.name
    let runs = columns.dropFirst(isPublished ? 1 : 0).indices.enumerated().map { index, _ in
      index < 26 ? String(UnicodeScalar(UInt8(65 + index))) : "\(index + 1)"
    }
    return (isPublished ? [PublishedFigures.name] : []) + runs
  }

  private var header: [String] {
    ["%"]
      + letters.enumerated().flatMap { index, letter in
        index == 0 ? [letter] : [letter, "\(letter) - \(letters[0])", "95 % interval", ""]
      }
  }

  /// The lines of a measure.
  private func cells(of measure: ComparedMeasure) -> [[String]] {
    lines.filter { $0.measure == measure }.map { line in
      [line.category]
        + line.values.indices.flatMap { column -> [String] in
          let value = line.values[column].map { String(format: "%.1f", 100 * $0) } ?? "-"
          if column == 0 { return [value] }
          guard let difference = line.differences[column] else { return [value, "-", "-", ""] }
          let interval = difference.interval.map { String(format: "%+.1f to %+.1f", 100 * $0.low, 100 * $0.high) }
          return [
            value, String(format: "%+.1f", 100 * difference.value), interval ?? "-",
            difference.isWithinChance.map { $0 ? "within chance" : "beyond chance" } ?? "",
          ]
        }
    }
  }

  private var measures: [ComparedMeasure] {
    ComparedMeasure.allCases.filter { measure in
      lines.contains { $0.measure == measure && $0.values.count { $0 != nil } > 1 }
    }
  }

  private var legend: [String] {
    zip(letters, columns).filter { $0 != $1 }.map { "\($0): \($1)" } + remarks.map { "note: \($0)" }
  }

  private var text: String {
    let tables = measures.map { measure in
      measure.title + "\n"
        + alignedColumns([header] + cells(of: measure), numbers: 1..<header.count).joined(separator: "\n") + "\n"
    }
    return (legend.joined(separator: "\n") + "\n\n") + tables.joined(separator: "\n")
  }

  private var markdown: String {
    func row(_ cells: [String]) -> String {
      "| \(cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ")) |\n"
    }
    let tables = measures.map { measure in
      "### \(measure.title)\n\n" + row(header) + "|---" + String(repeating: "|---:", count: header.count - 1) + "|\n"
        + cells(of: measure).map(row).joined()
    }
    return legend.map { "- \($0)\n" }.joined() + "\n" + tables.joined(separator: "\n")
  }

  /// A line for each value, with all digits.
  private var csv: String {
    var text = "measure,category,run,value,difference,low,high\n"
    for line in lines {
      for (column, value) in line.values.enumerated() {
        let difference = line.differences[column]
        let numbers = [value, difference?.value, difference?.interval?.low, difference?.interval?.high]
        text +=
          ([line.measure.rawValue, csvField(line.category), csvField(columns[column])]
          + numbers.map { $0.map { "\($0)" } ?? "" }).joined(separator: ",") + "\n"
      }
    }
    return text
  }

  private struct Entry: Encodable {
    struct Value: Encodable {
      let run: String
      let value: Double?
      let difference: Double?
      let interval: ConfidenceInterval?
      let isWithinChance: Bool?
    }

    let measure: ComparedMeasure
    let category: String
    let values: [Value]
  }

  private var json: String {
    get throws {
      let entries = lines.map { line in
        Entry(
          measure: line.measure, category: line.category,
          values: line.values.indices.map { column in
            let difference = line.differences[column]
            return .init(
              run: columns[column], value: line.values[column], difference: difference?.value,
              interval: difference?.interval, isWithinChance: difference?.isWithinChance)
          })
      }
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      do {
        return String(decoding: try encoder.encode(entries), as: UTF8.self) + "\n"
      } catch {
        throw Failure(.internalError, "the comparison cannot be written as JSON: \(error)")
      }
    }
  }
}
