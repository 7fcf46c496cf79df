import Collectives

/// The pixels' measures of some parts of a test set, integrated while the pixels go by, the highest score first.
///
/// The pixels may come in any number of pieces as long as those of one score come together: every sum goes on from where
/// the piece before left it, so that the cutting changes no bit. The pieces may go by on several ranks, in turn: each
/// takes the `progress` of the one before.
struct PixelIntegral {
  /// What the next threshold needs to know of those before.
  struct Progress: BitwiseCopyable {
    fileprivate var sums = Sums()
    fileprivate var roc = ThinnedCurve(from: ThinnedCurve.nothing).tip
    fileprivate var pro = ThinnedCurve(from: ThinnedCurve.nothing).tip
    fileprivate var precisionRecall = ThinnedCurve(from: ThinnedCurve.noRecall).tip
  }

  fileprivate struct Sums: BitwiseCopyable {
    var falsePositives = 0
    var truePositives = 0
    /// Under the ROC curve, in defect pixels x background pixels. Twice the product of the two exceeds 64 bits in sets of some 100,000 images.
    var twiceArea: Int128 = 0
    var precision = 0.0
    /// Summed over the regions.
    var overlap = 0.0
    /// What a pixel in the group of scores that holds the limit adds to its region's integral.
    var shareOfCut = 0.0
  }

  /// The parts that are measured.
  private let parts: [Int]
  /// The number of each part's first region.
  private let firstRegions: [Int]
  private let areas: [Int]
  private let negatives: Double
  private let positives: Double
  /// False positives where AUPRO's integral ends.
  private let limit: Double

  private var sums = Sums()
  private var regions: [RegionIntegral]
  private var roc = ThinnedCurve(from: ThinnedCurve.nothing)
  private var pro = ThinnedCurve(from: ThinnedCurve.nothing)
  private var precisionRecall = ThinnedCurve(from: ThinnedCurve.noRecall)

  /// - Parameter fprLimit: as of `PixelMetrics`.
  /// - Returns: nil where the parts have no defect pixel or no other pixel.
  init?(_ census: PixelCensus, parts: [Int], fprLimit: Double) {
    let areas = parts.flatMap { census.areas[$0] }
    let background = parts.reduce(0) { $0 + census.background[$1] }
    guard background > 0, !areas.isEmpty else { return nil }
    self.parts = parts
    self.areas = areas
    var regionsSoFar = 0
    firstRegions = parts.map { part in
      defer { regionsSoFar += census.areas[part].count }
      return regionsSoFar
    }
    negatives = Double(background)
    positives = Double(areas.reduce(0, +))
    limit = fprLimit * negatives
    regions = [RegionIntegral](repeating: RegionIntegral(), count: areas.count)
  }

  var progress: Progress {
    get { Progress(sums: sums, roc: roc.tip, pro: pro.tip, precisionRecall: precisionRecall.tip) }
    set {
      sums = newValue.sums
      (roc.tip, pro.tip, precisionRecall.tip) = (newValue.roc, newValue.pro, newValue.precisionRecall)
    }
  }

  // MARK: Pixels

  /// Goes on through the next pixels of each part of the set.
  mutating func add(_ pixels: [SortedPixels]) {
    var cursors = parts.map { Cursor(pixels: pixels[$0]) }
    while let key = Cursor.nextDefect(of: cursors) {
      var (passed, tied) = (0, 0)
      for index in cursors.indices {
        passed += cursors[index].passBackground { $0 < key }
        tied += cursors[index].passBackground { $0 == key }
      }
      let threshold = open(passed: passed, tied: tied)
      for index in cursors.indices {
        while let region = cursors[index].passDefect(of: key) {
          find(1, in: firstRegions[index] + region, at: threshold)
        }
      }
      close(threshold)
    }
    for index in cursors.indices { sums.falsePositives += cursors[index].passBackground { _ in true } }
  }

  /// Goes on through the next pixels, which all have one score.
  mutating func add(_ tie: PixelTie) {
    let background = parts.reduce(0) { $0 + tie.background[$1] }
    guard parts.contains(where: { tie.defects[$0].contains { $0 > 0 } }) else {
      sums.falsePositives += background
      return
    }
    let threshold = open(passed: 0, tied: background)
    for (part, first) in zip(parts, firstRegions) {
      for (region, count) in tie.defects[part].enumerated() { find(count, in: first + region, at: threshold) }
    }
    close(threshold)
  }

  // MARK: Thresholds

  /// A score at which defect pixels are found.
  private struct Threshold {
    /// False positives above the score.
    let before: Int
    /// The same with those at the score.
    let next: Int
    /// Defect pixels above the score.
    let found: Int
    let isBelowLimit: Bool
    let isCut: Bool
  }

  private mutating func open(passed: Int, tied: Int) -> Threshold {
    let before = sums.falsePositives + passed
    let next = before + tied
    sums.falsePositives = next
    addToCurves(falsePositives: before)
    let isBelowLimit = Double(next) <= limit
    let isCut = !isBelowLimit && Double(before) < limit
    if isCut {
      let room = limit - Double(before)
      sums.shareOfCut = room * room / (2 * Double(tied))
    }
    return Threshold(
      before: before, next: next, found: sums.truePositives, isBelowLimit: isBelowLimit, isCut: isCut)
  }

  private mutating func find(_ count: Int, in region: Int, at threshold: Threshold) {
    let share = 1 / Double(areas[region])
    // One by one, so that the sum's rounding is that of pixels that come singly.
    for _ in 0..<count { sums.overlap += share }
    if threshold.isBelowLimit {
      regions[region].pixels += count
      regions[region].twiceStart += count * (threshold.before + threshold.next)
    } else if threshold.isCut {
      regions[region].pixelsOfCut += count
    }
    sums.truePositives += count
  }

  private mutating func close(_ threshold: Threshold) {
    let found = sums.truePositives - threshold.found
    sums.twiceArea += Int128(found) * Int128(2 * Int(negatives) - threshold.before - threshold.next)
    let called = Double(sums.truePositives + threshold.next)
    sums.precision += Double(found) * Double(sums.truePositives) / called
    precisionRecall.add(x: Double(sums.truePositives) / positives, y: Double(sums.truePositives) / called)
    addToCurves(falsePositives: threshold.next)
  }

  private mutating func addToCurves(falsePositives: Int) {
    let x = Double(falsePositives) / negatives
    roc.add(x: x, y: Double(sums.truePositives) / positives)
    pro.add(x: x, y: sums.overlap / Double(areas.count))
  }

  // MARK: The end

  /// Brings together what the ranks have of their pieces; the last progress they have already. Collective.
  /// - Throws: `Failure(.communication)`.
  mutating func combine(over communicator: any Communicator) throws {
    let counts = try communicator.sum(regions.flatMap { [$0.pixels, $0.twiceStart, $0.pixelsOfCut] })
    for index in regions.indices {
      regions[index] = RegionIntegral(
        pixels: counts[3 * index], twiceStart: counts[3 * index + 1], pixelsOfCut: counts[3 * index + 2])
    }
    // ROC and PRO never fall, and a precision-recall curve has no recall twice: each has one order only.
    func all(_ points: [CurvePoint]) throws -> [CurvePoint] {
      try communicator.allGather(values: points).sorted { ($0.x, $0.y) < ($1.x, $1.y) }
    }
    roc.points = try all(roc.points)
    pro.points = try all(pro.points)
    precisionRecall.points = try all(precisionRecall.points)
  }

  /// The measures, when all pixels have gone by.
  consuming func metrics() -> PixelMetrics {
    addToCurves(falsePositives: Int(negatives))
    // Sorted, because a sum of rounded numbers must not depend on the order of the images.
    let ofRegions = zip(regions, areas).map { integral, area in
      let whole = Double(integral.pixels) * limit
      let cut = Double(integral.pixelsOfCut) * sums.shareOfCut
      return (whole - Double(integral.twiceStart) / 2 + cut) / (Double(area) * limit)
    }
    return PixelMetrics(
      auroc: Double(sums.twiceArea) / (2 * positives * negatives), averagePrecision: sums.precision / positives,
      aupro: ofRegions.sorted().reduce(0, +) / Double(areas.count), regions: areas.count, roc: roc.finished(),
      pro: pro.finished(), precisionRecall: precisionRecall.finished())
  }
}

/// The integral of one region's overlap over the false-positive rate, in exact counts. A defect pixel found between b0
/// and b1 false positives adds to its region's overlap a ramp from b0 to b1 and a constant from there on: up to the
/// limit L an area of L - (b0 + b1) / 2, or (L - b0)^2 / (2 (b1 - b0)) where b0 < L < b1.
private struct RegionIntegral {
  var pixels = 0
  var twiceStart = 0
  var pixelsOfCut = 0
}

/// Places in sorted pixels, which go forward only.
private struct Cursor {
  let pixels: SortedPixels
  private var background = 0
  private var defect = 0

  init(pixels: SortedPixels) { self.pixels = pixels }

  /// The key of the highest score among the next defect pixels.
  static func nextDefect(of cursors: [Cursor]) -> UInt32? {
    var next: UInt32?
    for cursor in cursors where cursor.defect < cursor.pixels.defects.count {
      let key = UInt32(truncatingIfNeeded: cursor.pixels.defects[cursor.defect] >> 32)
      next = min(key, next ?? key)
    }
    return next
  }

  /// Passes the background pixels at the front of which `condition` holds.
  /// - Returns: how many.
  mutating func passBackground(while condition: (UInt32) -> Bool) -> Int {
    let keys = pixels.background
    // Steps that double, then a search between the last two places: defect pixels are few, and most background pixels need not be looked at.
    var (low, step) = (background, 1)
    while low + step <= keys.count, condition(keys[low + step - 1]) {
      low += step
      step *= 2
    }
    var high = min(low + step - 1, keys.count)
    while low < high {
      let middle = (low + high) / 2
      if condition(keys[middle]) { low = middle + 1 } else { high = middle }
    }
    defer { background = low }
    return low - background
  }

  /// Passes the next defect pixel if it has this key.
  /// - Returns: its region.
  mutating func passDefect(of key: UInt32) -> Int? {
    guard defect < pixels.defects.count else { return nil }
    let next = pixels.defects[defect]
    guard UInt32(truncatingIfNeeded: next >> 32) == key else { return nil }
    defect += 1
    return Int(truncatingIfNeeded: next & 0xFFFF_FFFF)
  }
}
