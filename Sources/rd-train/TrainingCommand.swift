import Collectives
import Diagnostics
import Foundation
import Jobs
import Training

/// What rd-train does once it knows what is wanted.
enum TrainingCommand {
  static func run(_ configuration: TrainingConfiguration, _ verbosity: Verbosity?) throws {
    StopRequests.listen()
    let communicator = try MPICommunicator.start()
    try runJob(tool: "rd-train", over: communicator) {
      try communicator.watch(stallTimeout: configuration.stallTimeout.duration)
      let end = configuration.endTime.date(automatic: LaunchEnvironment.current.end)
      let stop =
        configuration.resume == .automatic
        ? StopRequests(end: end) : StopRequests(end: end, hint: "start it again with --resume auto to go on")
      if configuration.categories == .single {
        let console = Console(rank: communicator.rank, verbosity)
        try Trainer(configuration, over: communicator, console: console, stop: stop).train()
      } else {
        try PackedTraining(configuration, over: communicator, stop: stop, verbosity).run()
      }
    }
  }
}
