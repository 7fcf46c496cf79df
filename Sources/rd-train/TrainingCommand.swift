import Training

/// What rd-train does once it knows what is wanted.
enum TrainingCommand {
  /// The one place where training starts.
  static func run(_ configuration: TrainingConfiguration) throws {
    print(configuration.toml, terminator: "")
  }
}
