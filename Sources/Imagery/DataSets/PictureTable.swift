import Diagnostics
import FileSystem

/// A CSV file that says of each picture where it is, what it shows and what it is for: one's own, or that of VisA.
struct PictureTable {
  /// What the columns are called.
  struct Columns {
    let path: String
    let category: String
    var all: [String] { [path, "label", "mask", "split", category] }

    static let manifest = Columns(path: "path", category: "category")
    static let visa = Columns(path: "image", category: "object")
  }

  private struct Row {
    let part: DataSet.Part
    let category: String
    let picture: ListedPicture
  }

  private static let normalLabels: Set<String> = ["normal", "good", "ok", "0"]
  private let file: String
  private let root: String
  private let columns: Columns
  private let rows: [Row]

  /// - Parameters:
  ///   - file: the table.
  ///   - root: where relative paths in it begin.
  /// - Throws: `Failure` of `.badData` that names the record at fault, of `.inputOutput`.
  init(_ file: String, root: String, columns: Columns) throws {
    self.file = file
    self.root = root
    self.columns = columns
    guard var text = String(validating: try readFile(file), as: UTF8.self) else {
      throw Failure(.badData, "\(file): not a text file in UTF-8")
    }
    // Spreadsheets put a byte-order mark before the first heading.
    if text.unicodeScalars.first == "\u{FEFF}" { text.unicodeScalars.removeFirst() }
    let records = try csvRecords(text, path: file)
    let headings = records.first ?? []
    let places = Dictionary(headings.enumerated().map { ($1, $0) }) { first, _ in first }
    for name in [columns.path, "label", "split"] where places[name] == nil {
      throw Failure(
        .badData, "\(file): there is no column \(name)",
        hint: "the first line names the columns: \(columns.all.joined(separator: ",")), of which mask and "
          + "\(columns.category) may be missing")
    }
    var seen: Set<String> = []
    rows = try records.enumerated().dropFirst().compactMap { number, fields in
      if fields == [""] { return nil }
      func failure(_ reason: String, hint: String? = nil) -> Failure {
        Failure(.badData, "\(file): record \(number + 1): \(reason)", hint: hint)
      }
      guard fields.count == headings.count else {
        throw failure(
          "\(fields.count) fields for \(headings.count) columns", hint: "fields with commas stand in quotes")
      }
      func field(_ name: String) -> String { places[name].map { fields[$0] } ?? "" }
      let (path, label, maskPath) = (field(columns.path), field("label"), field("mask"))
      guard !path.isEmpty else { throw failure("\(columns.path) is empty") }
      guard !label.isEmpty, !label.contains("/"), ![".", ".."].contains(label) else {
        throw failure("label is \"\(label)\"", hint: "it is normal, good, ok or 0, or the name of a kind of defect")
      }
      let part: DataSet.Part
      switch field("split") {
      case "train": part = .training
      case "test": part = .test
      case let split: throw failure("split is \"\(split)\"", hint: "it is train or test")
      }
      let defect = Self.normalLabels.contains(label.lowercased()) ? nil : label
      guard part == .test || defect == nil else {
        throw failure(
          "\(path) is labelled \(label) and is to be trained on", hint: "training takes normal pictures only")
      }
      guard seen.insert("\(part) \(path)").inserted else { throw failure("\(path) is named twice") }
      func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(root)/\(path)" }
      return Row(
        part: part, category: field(columns.category),
        picture: ListedPicture(
          path: absolute(path), name: path, defect: defect, mask: maskPath.isEmpty ? nil : absolute(maskPath)))
    }
  }

  /// The categories with pictures for something, in the order of their bytes.
  func categories(with part: DataSet.Part) -> [String] {
    Set(rows.filter { $0.part == part && !$0.category.isEmpty }.map(\.category)).sorted(by: precedesInBytes)
  }

  /// What belongs to a category; to none where the table has none.
  func part(category: String?) throws -> some Arrangement {
    let categories = Set(rows.map(\.category)).sorted(by: precedesInBytes)
    let known = categories.prefix(6).joined(separator: ", ")
    if let category {
      guard categories.contains(category) else {
        throw Failure(
          .badData, "\(file): there is no \(columns.category) \(category)",
          hint: categories == [""] || categories.isEmpty ? "leave the category out" : "there are \(known)")
      }
    } else if categories.count > 1 {
      throw Failure(.usage, "\(file): holds several categories", hint: "name one with --category: \(known)")
    }
    return Part(table: file, root: root, rows: rows.filter { category == nil || $0.category == category })
  }

  private struct Part: Arrangement {
    let table: String
    let root: String
    let rows: [Row]

    func pictures(
      of part: DataSet.Part, unusable: (_ name: String, Failure) throws -> Void
    ) throws -> [ListedPicture] {
      try rows.filter { $0.part == part }.map(\.picture).map { picture in
        // What a table names and is not there is a mistake; that a picture has none is not.
        if let mask = picture.mask, !isFile(mask) {
          throw Failure(.badData, "\(mask): \(table) names this mask, and there is no such file")
        }
        return picture
      }
    }

    func whereabouts(of part: DataSet.Part) -> String { "\(table), split \(part == .training ? "train" : "test")" }

    func maskFiles() -> [String] { [] }
  }
}
