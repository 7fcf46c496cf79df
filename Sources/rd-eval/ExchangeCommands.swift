import ArgumentParser
import Collectives
import Diagnostics
import Evaluation
import Jobs

/// `rd-eval export`.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Writes a trained model for other programs.",
    usage: "rd-eval export RUN_OR_CHECKPOINT FILE.onnx|FILE.pth|FILE.safetensors [--teacher FILE]",
    discussion: """
      .onnx takes images to their maps and scores, teacher, blur and all, in ONNX Runtime, OpenVINO and others. .pth is what the authors' program saves, \
      {'bn': ..., 'decoder': ...}. .safetensors holds the same tensors. docs/exchange.md says more.
      """)

  @Argument(
    help: "The folder that rd-train wrote to, whose newest valid checkpoint is taken, or a checkpoint.",
    completion: .directory)
  var checkpoint: String

  @Argument(help: "The file to write; its name says the format.", completion: .file())
  var file: String

  @Option(
    help: ArgumentHelp(
      "the teacher's weights, for .onnx where the checkpoint holds only their hash", valueName: "file"),
    completion: .file())
  var teacher: String?

  func run() throws {
    try requireOneProcess("export")
    try exportModel(of: checkpoint, to: file, teacher: teacher, console: Console(rank: 0))
  }
}

/// `rd-eval import`.
struct ImportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Makes a run that can be evaluated out of a model that another program trained.",
    usage: "rd-eval import FILE.pth|FILE.safetensors RUN --teacher FILE [--image-size N]",
    discussion: """
      Reads what the authors' program, anomalib (where the architectures agree) and 'rd-eval export' write. The architecture is that which fits the tensors. \
      Nothing in the file is executed. docs/exchange.md says more.
      """)

  @Argument(help: "The trained model.", completion: .file())
  var file: String

  @Argument(help: ArgumentHelp("The folder of the new run.", valueName: "run"), completion: .directory)
  var output: String

  @Option(help: ArgumentHelp("the teacher's weights, as rd-train takes them", valueName: "file"), completion: .file())
  var teacher: String

  @Option(help: ArgumentHelp("height and width to which images were scaled", valueName: "pixels"))
  var imageSize = 256

  func run() throws {
    try requireOneProcess("import")
    try importModel(from: file, to: output, teacher: teacher, imageSize: imageSize, console: Console(rank: 0))
  }
}

private func requireOneProcess(_ command: String) throws {
  guard LaunchEnvironment.current.size ?? 2 > 1 else { return }
  throw Failure(.usage, "\(command): one process does it", hint: "call it without mpirun")
}
