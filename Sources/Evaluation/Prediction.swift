import Diagnostics
import Foundation
import Imagery
import Metrics
import Reports

/// What is found in one picture, as a line of output says it.
struct Prediction: Codable {
  /// In pixels of the picture.
  struct Region: Codable {
    let x: Int
    let y: Int
    let width: Int
    let height: Int
    let area: Int
    let peak: Float
    let peakX: Int
    let peakY: Int

    /// - Parameters:
    ///   - side: height and width of the map.
    ///   - fit: how the map covers the picture. What lies beside the picture is taken to its edge.
    init(_ region: AnomalousRegion, side: Int, width: Int, height: Int, fit: ImageFit) {
      let whole = fit.extent(width: width, height: height)
      func pixels(_ range: Range<Int>, of size: Int, inside length: Int) -> Range<Int> {
        let first = min(range.lowerBound * size / side, length - 1)
        return first..<max(min((range.upperBound * size + side - 1) / side, length), first + 1)
      }
      func middle(_ index: Int, of size: Int, inside length: Int) -> Int {
        min((2 * index + 1) * size / (2 * side), length - 1)
      }
      let columns = pixels(region.columns, of: whole.x, inside: width)
      let rows = pixels(region.rows, of: whole.y, inside: height)
      (x, y, self.width, self.height) = (columns.lowerBound, rows.lowerBound, columns.count, rows.count)
      area = max(1, Int((Double(region.area) * Double(whole.x * whole.y) / Double(side * side)).rounded()))
      peak = region.peak
      peakX = middle(region.peakColumn, of: whole.x, inside: width)
      peakY = middle(region.peakRow, of: whole.y, inside: height)
    }

    private enum CodingKeys: String, CodingKey {
      case x, y, width, height, area, peak
      case peakX = "peak_x"
      case peakY = "peak_y"
    }
  }

  let path: String
  /// Nil where the picture cannot be read.
  var verdict: Verdict?
  var score: Double?
  /// The probability that a normal image scores as high; nil where that is not known.
  var pValue: Double?
  /// By falling peak.
  var regions: [Region] = []
  /// The file of the picture with its heat map.
  var overlay: String?
  /// Why the picture cannot be read.
  var error: String?

  private enum CodingKeys: String, CodingKey {
    case path, verdict, score, regions, overlay, error
    case pValue = "p_value"
  }

  init(_ path: String) { self.path = path }
}

/// The lines of a prediction's output.
public enum PredictionFormat: String, CaseIterable, Sendable {
  /// A line of headings, then one a picture, with the highest of its regions.
  case csv
  /// An object a picture and line, with all of its regions.
  case jsonl

  var header: String {
    switch self {
    case .csv: "path,verdict,score,p_value,regions,x,y,width,height,area,peak,peak_x,peak_y,overlay\n"
    case .jsonl: ""
    }
  }

  func line(_ prediction: Prediction) throws -> String {
    switch self {
    case .jsonl:
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(prediction), as: UTF8.self) + "\n"
    case .csv:
      func written(_ value: (some CustomStringConvertible)?) -> String { value?.description ?? "" }
      let region = prediction.regions.first
      let count = prediction.verdict.map { _ in prediction.regions.count }
      var fields = [csvField(prediction.path), prediction.verdict?.rawValue ?? "unreadable"]
      fields += [written(prediction.score), written(prediction.pValue), written(count)]
      fields += [written(region?.x), written(region?.y), written(region?.width), written(region?.height)]
      fields += [written(region?.area), written(region?.peak), written(region?.peakX), written(region?.peakY)]
      fields.append(csvField(prediction.overlay ?? ""))
      return fields.joined(separator: ",") + "\n"
    }
  }
}
