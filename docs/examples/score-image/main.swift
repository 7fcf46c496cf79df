// Judges pictures with a checkpoint: score-image CHECKPOINT PICTURE...
import Foundation
import ReverseDistillation

let arguments = CommandLine.arguments.dropFirst()
guard let checkpoint = arguments.first, arguments.count > 1 else {
  print("usage: score-image CHECKPOINT PICTURE...")
  exit(64)
}
let detector = try AnomalyDetector(checkpoint: checkpoint)
for picture in arguments.dropFirst() {
  let judgement = try detector.judge(picture)
  print(picture, judgement.isAnomalous ? "anomalous" : "normal", judgement.score)
}
