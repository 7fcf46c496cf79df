import Foundation

extension IndexSet {
  /// Reads numbers as the kernel lists cores, such as "0-3,8".
  package init(list: String) {
    self.init()
    for range in list.split(separator: ",") {
      let ends = range.split(separator: "-").compactMap { Int($0) }
      if let first = ends.first, let last = ends.last, first <= last { insert(integersIn: first...last) }
    }
  }

  /// The numbers as ``init(list:)`` reads them.
  package var list: String {
    rangeView.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound - 1)" }.joined(
      separator: ",")
  }
}
