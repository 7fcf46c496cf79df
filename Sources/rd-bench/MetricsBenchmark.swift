import Collectives
import Foundation
import Jobs
import Metrics

/// Times what becomes of the maps and masks of a test set in memory, on one core, as rd-eval does it: the pixels through the external sort, the
/// authors' AUPRO image by image, the image metrics with their intervals.
///
/// The maps are noise that is smooth and higher in the defects. A quarter of the images is normal, as in MVTec AD.
func measureMetrics(images: Int, size: Int, memory: Int, repeats: Int, into report: inout Report) throws {
  let set = (0..<images).map { TestImage(number: $0, size: size) }
  var times: [String: [Double]] = [:]
  for _ in 0..<repeats {
    let store = try PixelStore(
      width: size, height: size, parts: 2, memory: memory, folder: FileManager.default.temporaryDirectory.path)
    var (results, pixels): ([ImageResult], [PixelMetrics?]) = ([], [])
    times["collect pixels", default: []].append(
      try seconds {
        for image in set.filter({ $0.mask == nil }) { try store.add(map: image.map, mask: nil, part: 0) }
        for image in set.filter({ $0.mask != nil }) { try store.add(map: image.map, mask: image.mask, part: 1) }
      })
    times["AUROC, AP, AUPRO of pixels", default: []].append(
      try seconds { pixels = try store.metrics(over: LocalCommunicator()) })
    times["AUPRO by images", default: []].append(
      try seconds {
        results = try set.map { image in
          ImageResult(
            score: Double(image.map.max() ?? 0), defect: image.mask == nil ? nil : "defect",
            referenceArea: try image.mask.map {
              try ReferenceOverlap.area(map: image.map, mask: $0, width: size, height: size)
            })
        }
      })
    times["image metrics and intervals", default: []].append(
      try seconds { _ = try Evaluation(images: results, kinds: ["defect"], pixels: pixels) })
  }
  for name in ["collect pixels", "AUROC, AP, AUPRO of pixels", "AUPRO by images", "image metrics and intervals"] {
    report.add(name, times[name] ?? [])
  }
  report.add("all", (0..<repeats).map { run in times.values.reduce(0) { $0 + $1[run] } })
  report.imagesPerSecond = report.rows.last.map { Double(images) / $0.medianSeconds }
  report.peakMemoryBytes = ProcessMemory.peak
}

private struct TestImage {
  let map: [Float]
  let mask: [Bool]?

  init(number: Int, size: Int) {
    let noise = randomBuffer(size * size, seed: UInt32(number + 1))
    let center = (x: size * (number % 5 + 1) / 6, y: size * (number % 7 + 1) / 8)
    let radius = max(size / 12, 1)
    let isNormal = number % 4 == 0
    let mask = (0..<size * size).map { pixel in
      let (x, y) = (pixel % size - center.x, pixel / size - center.y)
      return !isNormal && x * x + y * y <= radius * radius
    }
    self.mask = isNormal ? nil : mask
    map = (0..<size * size).map { pixel in
      let (x, y) = (Float(pixel % size), Float(pixel / size))
      return sin(x / 17 + Float(number)) * sin(y / 23) + 0.1 * noise.pointer[pixel] + (mask[pixel] ? 1 : 0)
    }
  }
}
