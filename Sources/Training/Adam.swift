import CVectorKernels
import Collectives
import Diagnostics
import Distillation
import Network
import Numerics
import Synchronization
import TensorFiles

/// Adam (D. Kingma, J. Ba, ICLR 2015) over all ranks: each sums the gradients of one range of the weights, keeps the moments of that range
/// alone, updates it, and passes it on to the others. The few affine parameters are updated everywhere alike.
package final class Adam {
  private let parameters: Parameters
  private let reduction: GradientReduction
  private let communicator: any Communicator
  private let team: ThreadTeam
  private let learningRate: Double
  private let beta1: Double
  private let beta2: Double
  private static let epsilon: Float = 1e-8

  /// Mean and mean square of the gradients of the own range.
  private let weightMoments: (first: FloatBuffer, second: FloatBuffer)
  private let affineMoments: (first: FloatBuffer, second: FloatBuffer)
  private let largestGradient = Atomic<UInt32>(0)
  /// The square of no gradient is to be infinite.
  private static let limit = Float(0x1p63).bitPattern

  package init(
    _ parameters: Parameters, learningRate: Double, beta1: Double, beta2: Double, tree: ShardTree,
    communicator: any Communicator, team: ThreadTeam
  ) {
    self.parameters = parameters
    self.communicator = communicator
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.team = team
    reduction = GradientReduction(count: parameters.weights.count, tree: tree, over: communicator)
    weightMoments = (FloatBuffer(reduction.own.count), FloatBuffer(reduction.own.count))
    affineMoments = (FloatBuffer(parameters.affine.count), FloatBuffer(parameters.affine.count))
  }

  /// Bytes of the memory for other ranks' gradients.
  var exchangeBytes: Int { reduction.receiveBytes }

  /// Sums the ranks' partial gradients and updates all parameters. Collective.
  /// - Parameters:
  ///   - step: counted from 1.
  ///   - afterReduction: called when the gradients have been summed.
  /// - Throws: ``NonFiniteNumbers`` on all ranks alike where a gradient is not finite or cannot be squared.
  package func update(step: Int, afterReduction: () -> Void = {}) throws {
    let own = reduction.own
    let gradients = parameters.weightGradients
    try reduction.reduceScatter(nodes: gradients, into: gradients + own.lowerBound)
    afterReduction()
    try requireUsableGradients()
    try update(
      parameters.weights.values + own.lowerBound, moments: weightMoments, gradients: gradients + own.lowerBound,
      count: own.count, step: step)
    try reduction.allGather(parameters: parameters.weights.values)
    try update(
      parameters.affine.values, moments: affineMoments, gradients: parameters.affineGradients.pointer,
      count: parameters.affine.count, step: step)
  }

  private func requireUsableGradients() throws {
    let (own, affine) = (reduction.own, parameters.affine.count)
    let (gradients, affineGradients) = (parameters.weightGradients, parameters.affineGradients.pointer)
    largestGradient.store(largestMagnitude(affineGradients, count: affine), ordering: .relaxed)
    let parts = min(team.count, own.count)
    try team.run(parts) { part, _ in
      let range = evenRange(part, of: parts, count: own.count)
      largestGradient.max(
        largestMagnitude(gradients + own.lowerBound + range.lowerBound, count: range.count), ordering: .relaxed)
    }
    let largest = largestGradient.load(ordering: .relaxed)
    guard communicator.size > 1 else {
      if largest >= Self.limit { throw try gradientFault() }
      return
    }
    var all = [UInt32](repeating: 0, count: communicator.size)
    let counts = all.map { _ in MemoryLayout<UInt32>.size }
    try withUnsafeBytes(of: largest) { send in
      try all.withUnsafeMutableBytes {
        try communicator.allGather(send, into: $0, counts: counts)
      }
    }
    if all.contains(where: { $0 >= Self.limit }) { throw try gradientFault() }
  }

  /// Says of which parameters some gradient is too large, or not a number, and whether this rank's images have such ones. Collective.
  private func gradientFault() throws -> NonFiniteNumbers {
    let (own, count) = (reduction.own, parameters.weights.count)
    let gradients = parameters.weightGradients
    func isUsable(_ range: Range<Int>, node: Int = 0) -> Bool {
      largestMagnitude(gradients + node * count + range.lowerBound, count: range.count) < Self.limit
    }
    let weights = parameters.weights.entries.filter { !isUsable($0.range.clamped(to: own)) }
    let affine = parameters.affine.entries.filter {
      largestMagnitude(parameters.affineGradients.pointer + $0.offset, count: $0.count) >= Self.limit
    }
    let found = try communicator.allGather(text: (weights + affine).map(\.name).joined(separator: "\n"))
    let names = found.flatMap { $0.split(separator: "\n").map(String.init) }
    // The own range holds sums over all ranks by now, the others this rank's parts of them.
    let isHere = !(0..<parameters.nodes).allSatisfy { node in
      isUsable(0..<own.lowerBound, node: node) && isUsable(own.upperBound..<count, node: node)
    }
    let isKnown = try communicator.allGather(values: [isHere]).contains(true)
    let others = Set(names).count > 1 ? " and \(Set(names).count - 1) others" : ""
    return NonFiniteNumbers(
      place: "the gradient of \(names.first ?? "a parameter")\(others)", images: isHere || !isKnown ? nil : [])
  }

  private func update(
    _ values: UnsafeMutablePointer<Float>, moments: (first: FloatBuffer, second: FloatBuffer),
    gradients: UnsafePointer<Float>, count: Int, step: Int
  ) throws {
    let stepSize = Float(learningRate / (1 - power(beta1, step)))
    let correction = Float(1 / (1 - power(beta2, step)).squareRoot())
    let (first, second) = (moments.first.pointer, moments.second.pointer)
    let parts = min(team.count, count)
    try team.run(parts) { part, _ in
      let range = evenRange(part, of: parts, count: count)
      let start = range.lowerBound
      rd_adam(
        values + start, first + start, second + start, gradients + start, range.count, Float(1 - beta1),
        Float(beta2), Float(1 - beta2), stepSize, correction, Self.epsilon)
    }
  }

  /// The moments of all parameters under their names.
  ///
  /// Asking for values is collective, in the same order on all ranks; rank 0 gets them. Each time the ranks agree to go on: where rank 0 has
  /// failed meanwhile and brings that to an agreement of its own, the others hear of it here.
  var moments: (first: [LazyTensor], second: [LazyTensor]) {
    let isFirst = communicator.rank == 0
    let gathered = FloatBuffer(isFirst ? parameters.weights.entries.reduce(0) { max($0, $1.count) } : 0)
    func tensors(_ own: FloatBuffer, _ affine: FloatBuffer) -> [LazyTensor] {
      parameters.weights.entries.map { entry in
        LazyTensor(name: entry.name, shape: entry.torchShape) { [self] in
          try communicator.agree {}
          let target = UnsafeMutableBufferPointer(start: gathered.pointer, count: isFirst ? entry.count : 0)
          try reduction.gather(entry.range, own: own.pointer, into: target)
          return isFirst ? entry.torchValues(gathered.pointer) : []
        }
      } + parameters.affine.tensors(affine.pointer)
    }
    return (tensors(weightMoments.first, affineMoments.first), tensors(weightMoments.second, affineMoments.second))
  }

  /// Sets the moments from those of all parameters, which rank 0 gives. Collective.
  func restore(first: LazyTensors?, second: LazyTensors?) throws {
    for (table, own, affine) in [
      (first, weightMoments.first, affineMoments.first), (second, weightMoments.second, affineMoments.second),
    ] {
      for entry in parameters.weights.entries {
        let values = try communicator.agree { try table.map { try entry.take(from: $0) } ?? [] }
        try values.withUnsafeBufferPointer { try reduction.scatter(entry.range, from: $0, own: own.pointer) }
      }
      try communicator.agree { if let table { try parameters.affine.read(table, into: affine.pointer) } }
      try communicator.broadcast(affine.pointer, count: affine.count)
    }
  }
}

extension ParameterArena.Entry {
  fileprivate var range: Range<Int> { offset..<offset + count }
}

/// By repeated squaring: the same bits with every C library.
private func power(_ base: Double, _ exponent: Int) -> Double {
  var (result, square, rest) = (1.0, base, exponent)
  while rest > 0 {
    if rest & 1 == 1 { result *= square }
    square *= square
    rest >>= 1
  }
  return result
}
