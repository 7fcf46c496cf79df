import Collectives
import Diagnostics
import Jobs
import Training

/// Says what a run would take, and writes nothing.
enum PlanningCommand {
  static func run(_ configuration: TrainingConfiguration, _ options: PlanningOptions) throws {
    guard configuration.categories == .single else {
      throw Failure(
        .configuration, "a plan is for one category, and category is \(configuration.category ?? "none")",
        hint: "name one with --category, and with --plan-ranks the ranks that train it")
    }
    let links = try options.network.map(NetworkLink.init)
    let communicator = try MPICommunicator.start()
    try runJob(tool: "rd-train", over: communicator) {
      try communicator.watch(stallTimeout: configuration.stallTimeout.duration)
      let plan = try TrainingPlan(configuration, ranks: options.planRanks, over: communicator)
      guard communicator.rank == 0 else { return }
      switch options.format {
      case .text: try writeResult(plan.text(links))
      case .json: try writeResult(String(decoding: plan.json(links), as: UTF8.self) + "\n")
      }
    }
  }
}
