import Diagnostics
import FileSystem
import Glibc
import Imagery

/// The pictures that are asked for, one after the other: files, the pictures in folders and in those below, and what a list on standard
/// input names. None of them is opened yet.
struct PictureQueue {
  /// The word for a list on standard input.
  static let standardInput = "-"

  struct Entry: Codable {
    let path: String
    /// A path of its own for a PNG file that belongs to the picture, below some folder.
    let name: String
    /// Why there is no picture, where that is known already.
    var problem: String?
  }

  private enum Place {
    case given(String)
    case file(path: String, name: String)
    case folder(path: String, name: String)
    /// After all of a folder, before which so many pictures had come.
    case end(ofFolder: String, before: Int)
    case list
  }

  /// The next one comes last.
  private var places: [Place]
  private var lines: [String] = []
  private var unfinishedLine: [UInt8] = []
  private var count = 0
  private var names = PictureNames()

  init(_ arguments: [String]) {
    places = arguments.reversed().map { $0 == Self.standardInput ? .list : .given($0) }
  }

  /// The next pictures, `most` of them where so many are known: does not wait for more lines where there are some.
  /// - Returns: none at the end.
  /// - Throws: `Failure(.inputOutput)` where standard input cannot be read.
  mutating func next(_ most: Int) throws -> [Entry] {
    var entries: [Entry] = []
    while entries.count < most, let place = places.popLast() {
      switch place {
      case .given(let path):
        if isFolder(path) {
          let last = path.split(separator: "/").last.map(String.init) ?? ""
          places.append(.end(ofFolder: path, before: count))
          places.append(.folder(path: path, name: [".", ".."].contains(last) ? "" : last))
        } else {
          places.append(.file(path: path, name: path.split(separator: "/").last.map(String.init) ?? path))
        }
      case .file(let path, let name):
        count += 1
        entries.append(Entry(path: path, name: names.png(for: name)))
      case .folder(let path, let name):
        var problems: [any Error] = []
        do {
          try open(path, name) { problems.append($1) }
        } catch {
          problems.append(error)
        }
        count += problems.count
        entries += problems.map { Entry(path: path, name: name, problem: "\($0)") }
      case .end(let path, let before):
        if count == before {
          entries.append(Entry(path: path, name: path, problem: "\(path): no pictures in this folder"))
        }
      case .list:
        if lines.isEmpty {
          // What is there is not to wait for what may come.
          if !entries.isEmpty {
            places.append(.list)
            return entries
          }
          guard try readLines() else { continue }
        }
        places.append(.list)
        if !lines.isEmpty { places.append(.given(lines.removeFirst())) }
      }
    }
    return entries
  }

  /// Folders that are links are passed over, since they may lead back.
  private mutating func open(
    _ path: String, _ name: String, unusable: (_ child: String, Failure) throws -> Void
  ) throws {
    for child in try namesInFolder(path, unusable: unusable).reversed() {
      let (path, name) = ("\(path)/\(child)", name.isEmpty ? child : "\(name)/\(child)")
      if isFolder(path) {
        if !isSymbolicLink(path) { places.append(.folder(path: path, name: name)) }
      } else if ImageFile.isPicture(child) {
        places.append(.file(path: path, name: name))
      }
    }
  }

  /// Takes the lines that standard input has, and waits for some where it has none.
  /// - Returns: false at its end.
  private mutating func readLines() throws -> Bool {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(STDIN_FILENO, &bytes, bytes.count)
    guard count >= 0 || errno == EINTR else {
      throw Failure(.inputOutput, "standard input: cannot be read: \(String(cString: strerror(errno)))")
    }
    unfinishedLine += bytes.prefix(max(count, 0))
    var parts = unfinishedLine.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    unfinishedLine = count == 0 ? [] : Array(parts.removeLast())
    // Lists from Windows end their lines with two signs.
    lines += parts.map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }.filter { !$0.isEmpty }
      .map { String(decoding: $0, as: UTF8.self) }
    return count != 0 || !lines.isEmpty
  }
}
