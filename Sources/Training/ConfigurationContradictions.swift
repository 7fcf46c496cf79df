import Diagnostics

/// Values that are right, each by itself, and do not go together.
extension TrainingConfiguration {
  /// - Throws: one `Failure(.configuration)` that says all of it.
  func requireNoContradictions() throws {
    let contradictions = [dataContradiction, tileContradiction, resumeContradiction] + evaluationContradictions
    let found = contradictions.compactMap { $0 }
    guard let first = found.first else { return }
    guard found.count > 1 else { throw Failure(.configuration, first.what, hint: first.hint) }
    throw Failure(
      .configuration,
      "\(found.count) errors" + found.map { "\n  \($0.what)\n    \($0.hint)" }.joined())
  }

  private struct Contradiction {
    let what: String
    /// What to do.
    let hint: String

    init(_ what: String, hint: String) {
      self.what = what
      self.hint = hint
    }
  }

  /// A data set is a folder or a table, or folders of pictures.
  private var dataContradiction: Contradiction? {
    let wrong =
      switch (normal, anomalous, masks) {
      case (.some, _, _) where !data.isEmpty: "data and normal are given"
      case (.some, _, _) where category != nil: "normal and category are given: a folder of images has no categories"
      case (.some, _, _) where layout != nil: "normal and layout are given"
      case (nil, .some, _), (nil, _, .some): "anomalous or masks is given, and normal is not"
      case (_, nil, .some): "masks is given, and anomalous is not"
      default: nil as String?
      }
    return wrong.map { Contradiction($0, hint: "give --data DIR, or --normal DIR [--anomalous DIR [--masks DIR]]") }
  }

  private var tileContradiction: Contradiction? {
    grid.side <= 16384
      ? nil
      : Contradiction(
        "tiles = \(tiles) with image_size = \(imageSize) makes images of \(grid.side) x \(grid.side) pixels",
        hint: "at most 16384 are possible: choose fewer tiles or smaller ones")
  }

  private var resumeContradiction: Contradiction? {
    guard case .file(let path) = resume, categories != .single else { return nil }
    return Contradiction(
      "resume is \(path), which is a checkpoint of one category, and category is \(category ?? "none")",
      hint: "with --resume auto each category goes on from its own newest checkpoint")
  }

  /// The keys of an evaluation on the way need each other.
  private var evaluationContradictions: [Contradiction?] {
    guard evaluateEvery != nil else {
      return [(Key.evaluationData, evaluationData != nil), (.earlyStop, earlyStop != nil)].map { key, isGiven in
        isGiven
          ? Contradiction(
            "\(key.rawValue) is given, and evaluate_every is not",
            hint: "say how often, for example --evaluate-every '1 epochs'") : nil
      }
    }
    let hasTest = testSet != nil
    let hasHeldOut = validationFraction > 0
    let needsHeldOut = "hold normal images out with --validation-fraction 0.1"
    guard hasTest || hasHeldOut else {
      return [
        Contradiction(
          "evaluate_every is given, and nothing to evaluate",
          hint: "name a data set with test images with --evaluation-data, or \(needsHeldOut)")
      ]
    }
    return [
      hasTest || bestBy == .validationLoss
        ? nil
        : Contradiction(
          "best_by is \(bestBy.rawValue), and evaluation_data is not given",
          hint: "name a data set with test images with --evaluation-data"),
      earlyStop == nil || hasHeldOut || bestBy != .validationLoss
        ? nil
        : Contradiction(
          "early_stop is given, and no normal images are held out to see when to stop", hint: needsHeldOut),
    ]
  }
}
