import Foundation
import Metrics

/// A chart as SVG inside HTML. Its colors are the page's, so that it goes light and dark with it.
struct Chart {
  /// The classes of the page's style that give a series its color.
  enum Color: String { case normal, anomalous, line, dashes }

  enum Shape {
    /// Points joined by lines.
    case curve([CurvePoint])
    /// Bars between the edges, from 0 up.
    case bars(edges: [Double], heights: [Double])
  }

  struct Series {
    let name: String
    let color: Color
    let shape: Shape
  }

  struct Axis {
    let label: String
    var range: ClosedRange<Double>
    /// What a label says after its number.
    var unit = ""
  }

  /// What the page calls it.
  let id: String
  let title: String
  /// What can be read from it, for those who do not see it.
  let description: String
  let x: Axis
  let y: Axis
  let series: [Series]
  /// Places on the x axis that are marked, with their names.
  var marks: [(x: Double, name: String)] = []

  private static let (width, height) = (460.0, 310.0)
  private static let (left, right, top, bottom) = (52.0, 14.0, 28.0, 46.0)

  /// The chart with its title and a legend.
  var figure: HTML {
    element("figure", ["class": "chart"]) {
      element("h3") { title }
      svg
      if series.count > 1 {
        element("ul", ["class": "legend"]) {
          for series in series { element("li", ["class": series.color.rawValue]) { series.name } }
        }
      }
      element("figcaption") { description }
    }
  }

  private var svg: HTML {
    element(
      "svg",
      [
        "viewBox": "0 0 \(number(Self.width)) \(number(Self.height))", "role": "img",
        "aria-labelledby": "\(id)-title \(id)-description",
      ]
    ) {
      element("title", ["id": "\(id)-title"]) { title }
      element("desc", ["id": "\(id)-description"]) { description }
      for tick in ticks(x.range) {
        line("grid", place(tick, y.range.lowerBound), place(tick, y.range.upperBound))
        label(tickText(tick, x), at: (place(tick, 0).x, Self.height - Self.bottom + 16), anchor: "middle")
      }
      for tick in ticks(y.range) {
        line("grid", place(x.range.lowerBound, tick), place(x.range.upperBound, tick))
        label(tickText(tick, y), at: (Self.left - 6, place(0, tick).y + 4), anchor: "end")
      }
      for series in series { drawn(series) }
      for mark in marks where x.range.contains(mark.x) {
        let (low, high) = (place(mark.x, y.range.lowerBound), place(mark.x, y.range.upperBound))
        line("mark", low, high)
        let isRight = high.x > Self.width * 0.6
        label(mark.name, at: (high.x + (isRight ? -5 : 5), high.y + 12), anchor: isRight ? "end" : "start")
      }
      line(
        "axis", place(x.range.lowerBound, y.range.lowerBound), place(x.range.upperBound, y.range.lowerBound))
      label(x.label, at: ((Self.left + Self.width - Self.right) / 2, Self.height - 8), anchor: "middle")
      label(y.label, at: (4, 14), anchor: "start")
    }
  }

  @HTMLBuilder private func drawn(_ series: Series) -> HTML {
    switch series.shape {
    case .curve(let points):
      let places = points.map { place($0.x, $0.y) }.map { "\(number($0.x)),\(number($0.y))" }
      element("polyline", ["class": "curve \(series.color.rawValue)", "points": places.joined(separator: " ")])
    case .bars(let edges, let heights):
      for (index, height) in heights.enumerated() where height > 0 {
        let (from, to) = (place(edges[index], height), place(edges[index + 1], y.range.lowerBound))
        element(
          "rect",
          [
            "class": "bar \(series.color.rawValue)", "x": number(from.x + 0.5), "y": number(from.y),
            "width": number(max(to.x - from.x - 1, 0.5)), "height": number(to.y - from.y),
          ])
      }
    }
  }

  // MARK: Places

  private func place(_ x: Double, _ y: Double) -> (x: Double, y: Double) {
    func share(_ value: Double, _ range: ClosedRange<Double>) -> Double {
      (min(max(value, range.lowerBound), range.upperBound) - range.lowerBound) / (range.upperBound - range.lowerBound)
    }
    return (
      Self.left + share(x, self.x.range) * (Self.width - Self.left - Self.right),
      Self.height - Self.bottom - share(y, self.y.range) * (Self.height - Self.top - Self.bottom)
    )
  }

  private func line(_ style: String, _ from: (x: Double, y: Double), _ to: (x: Double, y: Double)) -> HTML {
    element(
      "line", ["class": style, "x1": number(from.x), "y1": number(from.y), "x2": number(to.x), "y2": number(to.y)])
  }

  private func label(_ text: String, at place: (x: Double, y: Double), anchor: String) -> HTML {
    element("text", ["x": number(place.x), "y": number(place.y), "text-anchor": anchor]) { text }
  }

  /// With the digits that a screen can show.
  private func number(_ value: Double) -> String {
    let text = String(format: "%.1f", value)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  private func tickText(_ value: Double, _ axis: Axis) -> String { String(format: "%g", value) + axis.unit }
}

/// Round values in a range, some five of them, that are multiples of 1, 2 or 5 times a power of ten.
func ticks(_ range: ClosedRange<Double>) -> [Double] {
  let width = range.upperBound - range.lowerBound
  guard width > 0, width.isFinite else { return [range.lowerBound] }
  let power = pow(10, floor(log10(width / 5)))
  let step = [1, 2, 5, 10].map { $0 * power }.first { width / $0 <= 6 } ?? 10 * power
  let numbers = Int((range.lowerBound / step).rounded(.up))...Int((range.upperBound / step + 1e-9).rounded(.down))
  // By division where the step is a fraction: 3 / 10 is printed as 0.3, and 3 * 0.1 is not.
  return numbers.map { step < 1 ? Double($0) / (1 / step).rounded() : Double($0) * step }
}
