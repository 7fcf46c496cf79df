/// Names for the PNG files that belong to pictures, each of its own: 001.jpg and 001.jpg.png may both be there.
struct PictureNames {
  private var uses: [String: Int] = [:]

  /// The picture's own name, with `.png` behind it where it is of another kind, and a number before that where it was given already.
  mutating func png(for name: String) -> String { unused(name.lowercased().hasSuffix(".png") ? name : name + ".png") }

  private mutating func unused(_ name: String) -> String {
    let times = uses[name, default: 0]
    uses[name] = times + 1
    guard times > 0 else { return name }
    let point = name.lastIndex(of: ".") ?? name.endIndex
    return unused("\(name[..<point])-\(times + 1)\(name[point...])")
  }
}
