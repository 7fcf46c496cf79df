import Diagnostics

extension TrainingPlan {
  /// The plan as a text for people.
  package func text(_ links: [NetworkLink]) -> String {
    let model = configuration.model
    var lines = [
      "\(counted(ranks, "rank")) with \(counted(threads, "thread")), \(ranksOnHost) on this host; "
        + "\(model.backbone.rawValue) at \(model.imageSize) pixels; \(engine)",
      "\(imagesText), \(batch) a step over \(configuration.logicalShards) shards; "
        + "\(counted(stepsPerEpoch, "step")) an epoch, \(steps) in all",
      "the busiest rank has \(counted(largestBatch, "image")) a step and \(largestShare) in all",
    ]
    lines += ["", row("memory of a rank", ["MiB"])]
    lines += memory.map { row("  \($0.purpose)\($0.isTransient ? ", for a time" : "")", [mebibytes($0.bytes)]) }
    lines.append(row("  most at a time", [mebibytes(peakMemory)]))
    lines.append(row("  free for \(counted(ranksOnHost, "rank")) of this host", [mebibytes(freeMemory)]))
    if !fits { lines.append("warning: that is NOT ENOUGH for \(counted(ranksOnHost, "rank")) of this size") }

    lines += ["", row("work, as direct convolutions", ["GFLOP/image", "GFLOP/step"])]
    for (name, work) in [("student forward", forwardWork), ("student backward", backwardWork)] {
      lines.append(row("  \(name)", [giga(work), giga(work * Double(batch))]))
    }
    lines.append(row("  teacher, once", [giga(teacherWork), ""]))
    guard let seconds, let preparationSeconds else {
      return (lines + ["", "the steps were not rehearsed: there is not the memory for it"]).joined(separator: "\n")
        + "\n"
    }

    lines += ["", row("a rank's communication in a step", ["calls", "MB sent", "MB received"])]
    for part in traffic {
      lines.append(row("  \(part.purpose)", ["\(part.exchanges.count)", mega(part.sent), mega(part.received)]))
    }

    lines += ["", row("a step, rehearsed here", ["ms"])]
    for (name, time) in [("input", seconds.input), ("student", seconds.student), ("Adam", seconds.adam)] {
      lines.append(row("  \(name)", [milliseconds(time)]))
    }
    lines.append(row("  without communication", [milliseconds(seconds.sum)]))
    let features = preparationSeconds * Double(largestShare)
    lines.append("the teacher's features take \(decimal(features, digits: 1)) s before the first step")
    if ranks == 1 { lines += prediction("without a network", 0, seconds.sum) }
    for link in ranks > 1 ? links : [] {
      let communication = communicationSeconds(link)
      lines += prediction(link.description, communication, seconds.sum + communication)
    }
    if ranks > 1, links.isEmpty {
      lines += ["", "for the time of a step with communication: --network \"latency 50us, bandwidth 10Gbit/s\""]
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func prediction(_ title: String, _ communication: Double, _ step: Double) -> [String] {
    [
      "", row("predicted: \(title)", [""]), row("  communication", ["\(milliseconds(communication)) ms"]),
      row("  step", ["\(milliseconds(step)) ms"]),
      row("  images a second", [decimal(Double(batch) / step, digits: 2)]),
      row("  epoch", ["\(decimal(step * Double(stepsPerEpoch), digits: 1)) s"]),
      row("  all steps", [spoken(step * Double(steps))]),
    ]
  }
}

private func row(_ name: String, _ cells: [String]) -> String {
  func padding(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(width - text.count, 0)) }
  return name + padding(name, 36) + cells.map { padding($0, 13) + $0 }.joined()
}

private func mebibytes(_ bytes: Int) -> String { decimal(Double(bytes) / 0x1p20, digits: 1) }
private func mega(_ bytes: Int) -> String { decimal(Double(bytes) / 1e6, digits: 3) }
private func giga(_ work: Double) -> String { decimal(work / 1e9, digits: 2) }
private func milliseconds(_ seconds: Double) -> String { decimal(seconds * 1e3, digits: 1) }
