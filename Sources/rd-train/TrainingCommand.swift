import Collectives
import Diagnostics
import Foundation
import Jobs
import Training

/// What rd-train does once it knows what is wanted.
enum TrainingCommand {
  static func run(_ configuration: TrainingConfiguration) throws {
    let communicator = try MPICommunicator.start()
    try runJob(tool: "rd-train", over: communicator) {
      if configuration.categories == .single {
        try Trainer(configuration, over: communicator, console: Console(rank: communicator.rank)).train()
      } else {
        try PackedTraining(configuration, over: communicator).run()
      }
    }
  }
}
