import Diagnostics

/// The 8-connected regions of a mask.
public struct ConnectedRegions: Sendable {
  /// The region of each pixel, row by row: 0 outside, else 1 ... `count` in the order of the regions' first pixels.
  public let labels: [Int32]
  /// Pixels of each region; `areas[0]` belongs to region 1.
  public let areas: [Int]

  public var count: Int { areas.count }
  /// Pixels in any region.
  public var area: Int { areas.reduce(0, +) }

  /// Labels in two passes: provisional labels with their equivalences kept in a union-find forest, then final ones.
  /// - Parameter mask: `height` x `width` pixels, row by row.
  /// - Throws: `Failure` when the mask is of another size.
  public init(of mask: [Bool], width: Int, height: Int) throws {
    guard width > 0, height > 0, mask.count == width * height else {
      throw Failure(.badData, "metrics: a mask of \(mask.count) pixels is not \(width) x \(height)")
    }
    var labels = [Int32](repeating: 0, count: mask.count)
    guard mask.contains(true) else {
      self.labels = labels
      areas = []
      return
    }
    // parent[label] <= label: a root is its region's smallest, hence first, provisional label.
    var parent: [Int32] = [0]
    func root(_ label: Int32) -> Int32 {
      var label = label
      while parent[Int(label)] != label {
        parent[Int(label)] = parent[Int(parent[Int(label)])]
        label = parent[Int(label)]
      }
      return label
    }

    for y in 0..<height {
      for x in 0..<width where mask[y * width + x] {
        let pixel = y * width + x
        var label: Int32 = 0
        func meet(_ neighbour: Int32) {
          guard neighbour != 0 else { return }
          let other = root(neighbour)
          if label == 0 {
            label = other
          } else {
            parent[Int(max(label, other))] = min(label, other)
            label = min(label, other)
          }
        }
        if x > 0 { meet(labels[pixel - 1]) }
        if y > 0 {
          if x > 0 { meet(labels[pixel - width - 1]) }
          meet(labels[pixel - width])
          if x + 1 < width { meet(labels[pixel - width + 1]) }
        }
        if label == 0 {
          label = Int32(parent.count)
          parent.append(label)
        }
        labels[pixel] = label
      }
    }

    var areas: [Int] = []
    var final = [Int32](repeating: 0, count: parent.count)
    for label in parent.indices.dropFirst() {
      if parent[label] == label {
        areas.append(0)
        final[label] = Int32(areas.count)
      } else {
        final[label] = final[Int(parent[label])]  // the parent is smaller, so its final label is known
      }
    }
    for pixel in labels.indices where labels[pixel] != 0 {
      let label = final[Int(labels[pixel])]
      labels[pixel] = label
      areas[Int(label) - 1] += 1
    }
    self.labels = labels
    self.areas = areas
  }
}
