import Diagnostics
import Foundation
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

    /// - Parameter side: height and width of the map.
    init(_ region: AnomalousRegion, side: Int, width: Int, height: Int) {
      func pixels(_ range: Range<Int>, of size: Int) -> Range<Int> {
        range.lowerBound * size / side..<(range.upperBound * size + side - 1) / side
      }
      func middle(_ index: Int, of size: Int) -> Int { (2 * index + 1) * size / (2 * side) }
      let (columns, rows) = (pixels(region.columns, of: width), pixels(region.rows, of: height))
      (x, y, self.width, self.height) = (columns.lowerBound, rows.lowerBound, columns.count, rows.count)
      area = max(1, Int((Double(region.area) * Double(width * height) / Double(side * side)).rounded()))
      peak = region.peak
      (peakX, peakY) = (middle(region.peakColumn, of: width), middle(region.peakRow, of: height))
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
      let region = prediction.regions.first.map {
        [$0.x, $0.y, $0.width, $0.height, $0.area].map(String.init) + ["\($0.peak)"]
          + [$0.peakX, $0.peakY].map(String.init)
      }
      let fields =
        [csvField(prediction.path), prediction.verdict?.rawValue ?? "unreadable"]
        + [prediction.score, prediction.pValue].map { $0.map { "\($0)" } ?? "" }
        + [prediction.verdict.map { _ in "\(prediction.regions.count)" } ?? ""]
        + (region ?? [String](repeating: "", count: 8)) + [csvField(prediction.overlay ?? "")]
      return fields.joined(separator: ",") + "\n"
    }
  }
}
