import Diagnostics
import FileSystem
import Foundation
import Imagery

/// The pictures that are asked for, one after the other: files, the pictures in folders and in those below, and what a list on standard
/// input names. None of them is opened yet.
struct PictureQueue {
  /// The word for a list on standard input.
  static let standardInput = "-"

  struct Entry: Codable {
    let path: String
    /// A path of its own for what belongs to the picture, below some folder.
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
  private var unfinishedLine = Data()
  private var count = 0
  private var namesUsed: [String: Int] = [:]

  init(_ arguments: [String]) {
    places = arguments.reversed().map { $0 == Self.standardInput ? .list : .given($0) }
  }

  /// The next pictures, `most` of them where so many are known: does not wait for more lines where there are some.
  /// - Returns: none at the end.
  mutating func next(_ most: Int) -> [Entry] {
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
        entries.append(Entry(path: path, name: unused(name)))
      case .folder(let path, let name):
        do {
          try open(path, name)
        } catch {
          entries.append(Entry(path: path, name: name, problem: "\(error)"))
        }
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
          guard readLines() else { continue }
        }
        places.append(.list)
        if !lines.isEmpty { places.append(.given(lines.removeFirst())) }
      }
    }
    return entries
  }

  /// Folders that are links are passed over, since they may lead back.
  private mutating func open(_ path: String, _ name: String) throws {
    for child in try namesInFolder(path).reversed() {
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
  private mutating func readLines() -> Bool {
    let data = FileHandle.standardInput.availableData
    unfinishedLine += data
    var parts = unfinishedLine.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    unfinishedLine = data.isEmpty ? Data() : Data(parts.removeLast())
    lines += parts.filter { !$0.isEmpty }.map { String(decoding: $0, as: UTF8.self) }
    return !data.isEmpty || !lines.isEmpty
  }

  private mutating func unused(_ name: String) -> String {
    let times = namesUsed[name, default: 0]
    namesUsed[name] = times + 1
    guard times > 0 else { return name }
    let point = name.lastIndex(of: ".") ?? name.endIndex
    return unused("\(name[..<point])-\(times + 1)\(name[point...])")
  }
}
