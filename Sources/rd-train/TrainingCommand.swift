import Collectives
import Foundation
import Training

/// What rd-train does once it knows what is wanted.
enum TrainingCommand {
  /// The one place where training will start. Until there is a trainer it shows the resolved configuration, and says so.
  static func run(_ configuration: TrainingConfiguration) throws {
    guard LaunchEnvironment.current.rank == 0 else { return }
    print(configuration.toml, terminator: "")
    FileHandle.standardError.write(
      Data("rd-train: this version cannot train yet; above is the configuration as understood\n".utf8))
  }
}
