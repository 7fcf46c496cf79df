import Collectives
import Diagnostics
import Foundation
import Jobs
import Training

/// What rd-train does once it knows what is wanted.
enum TrainingCommand {
  static func run(_ configuration: TrainingConfiguration) throws {
    StopRequests.listen()
    let communicator = try MPICommunicator.start()
    try runJob(tool: "rd-train", over: communicator) {
      let stop = StopRequests(end: configuration.endTime.date(automatic: LaunchEnvironment.current.end))
      if configuration.categories == .single {
        try Trainer(configuration, over: communicator, console: Console(rank: communicator.rank), stop: stop).train()
      } else {
        try PackedTraining(configuration, over: communicator, stop: stop).run()
      }
    }
  }
}
