import Foundation

extension TrainingPlan {
  /// The plan as a JSON object for programs: what the text says, in bytes, seconds and floating-point operations.
  package func json(_ links: [NetworkLink]) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return try encoder.encode(PlanDocument(self, links))
  }
}

private struct PlanDocument: Encodable {
  struct Traffic: Encodable {
    let purpose: String
    let calls: Int
    let bytesSent: Int
    let bytesReceived: Int
  }

  struct Prediction: Encodable {
    let network: String
    let communicationSeconds: Double
    let stepSeconds: Double
    let imagesPerSecond: Double
    let trainingSeconds: Double
  }

  let ranks: Int
  let ranksOnHost: Int
  let threads: Int
  let engine: String
  let images: Int
  let batch: Int
  let stepsPerEpoch: Int
  let steps: Int
  let memory: [TrainingPlan.Memory]
  let peakMemoryBytes: Int
  let freeMemoryBytes: Int
  let fits: Bool
  let forwardWorkPerImage: Double
  let backwardWorkPerImage: Double
  let teacherWorkPerImage: Double
  let traffic: [Traffic]
  /// Without communication; null where there is not the memory to rehearse steps.
  let step: TrainingPlan.StepSeconds?
  let featureSecondsPerImage: Double?
  let predictions: [Prediction]

  init(_ plan: TrainingPlan, _ links: [NetworkLink]) {
    ranks = plan.ranks
    ranksOnHost = plan.ranksOnHost
    threads = plan.threads
    engine = plan.engine
    images = plan.images
    batch = plan.batch
    stepsPerEpoch = plan.stepsPerEpoch
    steps = plan.steps
    memory = plan.memory
    peakMemoryBytes = plan.peakMemory
    freeMemoryBytes = plan.freeMemory
    fits = plan.fits
    forwardWorkPerImage = plan.forwardWork
    backwardWorkPerImage = plan.backwardWork
    teacherWorkPerImage = plan.teacherWork
    traffic = plan.traffic.map {
      Traffic(purpose: $0.purpose, calls: $0.exchanges.count, bytesSent: $0.sent, bytesReceived: $0.received)
    }
    step = plan.seconds
    featureSecondsPerImage = plan.featureSeconds
    predictions =
      plan.seconds.map { seconds in
        links.map { link in
          let communication = plan.ranks > 1 ? plan.communicationSeconds(link) : 0
          let step = seconds.sum + communication
          return Prediction(
            network: link.description, communicationSeconds: communication, stepSeconds: step,
            imagesPerSecond: Double(plan.batch) / step, trainingSeconds: step * Double(plan.steps))
        }
      } ?? []
  }
}
