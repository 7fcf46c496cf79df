import Checkpoints
import Diagnostics
import Distillation
import FileSystem
import Jobs
import TensorFiles
import Training

/// A checkpoint by its path, or the newest in a run's folder of which all that is needed is valid.
func openCheckpoint(
  _ path: String, withTeacher: Bool, console: Console
) throws -> (CheckpointFile, String) {
  guard isFolder(path) else { return (try CheckpointFile(path: path), path) }
  let folder = RunFolder(path).checkpoints
  let store = CheckpointStore(storage: FolderStorage(isFolder(folder) ? folder : path)) {
    console.say("warning: \($0.name): \($0.reason)")
  }
  guard let newest = try store.newestValid(withTeacher ? [.parameters, .teacher] : [.parameters]) else {
    throw Failure(
      .badData, "\(path): holds no checkpoint",
      hint: "give the folder that rd-train wrote to (--output), or a checkpoint")
  }
  return (newest.checkpoint, newest.name)
}

/// The teacher that a checkpoint was trained with: its own copy, or the file that is given.
func teacher(
  of checkpoint: CheckpointFile, named name: String, given: String?, for architecture: Architecture
) throws -> TeacherWeights {
  let weights: TeacherWeights
  if let given {
    weights = try TeacherWeights(source: given, for: architecture)
  } else if !checkpoint[.teacher].names.isEmpty {
    let own = try checkpoint[.teacher].tensors.map { try $0.loaded() }
    weights = try TeacherWeights(TensorTable(own, source: name), for: architecture)
  } else {
    throw Failure(.usage, "\(name): the checkpoint holds no teacher", hint: "give the teacher's file as --teacher")
  }
  guard weights.hash == checkpoint.record.teacherHash else {
    throw Failure(
      .badData, "\(given ?? name): not the teacher that the student was trained with",
      hint: "leave --teacher out, or give the file of the training")
  }
  return weights
}
