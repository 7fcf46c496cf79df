import CVectorKernels
import Network
import Numerics

/// The distillation loss: one minus the cosine between teacher and student, summed over the three scales.
///
/// Its two readings (``DistillationLoss``) are one cosine an image, mean over the batch (the authors' code), and one cosine a pixel, mean over
/// pixels and batch (the paper's equations 1 and 2).
package final class LossFunction {
  private let architecture: Architecture
  private let step: TrainingStep
  private let kind: DistillationLoss
  /// u.v, u.u and v.v for each scale and image (the authors' reading).
  private let products: UnsafeMutablePointer<Double>
  /// A distance for each image and pixel (the paper's reading).
  private let distances: FloatBuffer

  /// No norm counts as less (PyTorch's cosine_similarity).
  package static let leastNorm: Float = 1e-8

  init(_ architecture: Architecture, step: TrainingStep) {
    self.architecture = architecture
    self.step = step
    kind = architecture.model.loss
    products = .allocate(capacity: 3 * 3 * step.capacity)
    distances = FloatBuffer(step.capacity * architecture.side(ofScale: 1) * architecture.side(ofScale: 1))
    step.reserveSums(3)
  }

  deinit { products.deallocate() }

  /// - Returns: the loss over the whole batch of all ranks.
  func forward(teacher: Features, student: Features) throws -> Double {
    let sums = try step.sumOverBatch(3) { images, sums in
      for image in images {
        for scale in 1...3 {
          sums[scale - 1] += distance(scale: scale, image: image, teacher: teacher, student: student)
        }
      }
    }
    return (sums[0] + sums[1] + sums[2]) / Double(step.batch)
  }

  /// Which of this rank's images have a loss that is not finite.
  func oddImages(teacher: Features, student: Features) -> [Int] {
    (0..<step.images).filter { image in
      !(1...3).allSatisfy { distance(scale: $0, image: image, teacher: teacher, student: student).isFinite }
    }
  }

  /// Writes the loss's gradient with respect to the student's features of one scale, or adds it to what the target has.
  func backward(
    scale: Int, teacher: Features, student: Features, adding: Bool, into target: UnsafeMutablePointer<Float>
  ) throws {
    let size = architecture.featureCount(ofScale: scale)
    let channels = architecture.channels(ofScale: scale)
    let (u, v) = (teacher.scales[scale - 1], student.scales[scale - 1])
    let adding: Int32 = adding ? 1 : 0
    try step.team.run(step.images) { image, _ in
      let place = image * size
      switch kind {
      case .flattened:
        // d(1 - cos)/dv = -(u / (|u||v|) - cos v / |v|^2)
        let products = products(scale: scale, image: image)
        let (nu, nv) = (Self.norm(products[1]), Self.norm(products[2]))
        // A norm that was clamped does not change with v.
        let alongV = nv > Double(Self.leastNorm) ? products[0] / (nu * nv * nv * nv) : 0
        let count = Double(step.batch)
        rd_combine(
          Float(-1 / (nu * nv) / count), u + place, Float(alongV / count), v + place, adding, target + place, size)
      case .perPixel:
        let pixels = size / channels
        rd_pixel_distance_gradient(
          u + place, v + place, pixels, channels, Self.leastNorm, 1 / Float(step.batch * pixels), adding, target + place
        )
      }
    }
  }

  /// One image's share of the loss at a scale.
  private func distance(scale: Int, image: Int, teacher: Features, student: Features) -> Double {
    let size = architecture.featureCount(ofScale: scale)
    let (u, v) = (teacher.scales[scale - 1] + image * size, student.scales[scale - 1] + image * size)
    switch kind {
    case .flattened:
      let products = products(scale: scale, image: image)
      products.update(repeating: 0, count: 3)
      rd_inner_products(u, v, size, products)
      return Self.distance(products: (products[0], products[1], products[2]))
    case .perPixel:
      let channels = architecture.channels(ofScale: scale)
      let pixels = size / channels
      let distances = self.distances.pointer + image * (self.distances.count / step.capacity)
      rd_pixel_distances(u, v, pixels, channels, Self.leastNorm, distances)
      return (0..<pixels).reduce(0) { $0 + Double(distances[$1]) } / Double(pixels)
    }
  }

  private func products(scale: Int, image: Int) -> UnsafeMutablePointer<Double> {
    products + 3 * (3 * image + scale - 1)
  }

  /// One minus the cosine of u and v.
  /// - Parameter products: u.v, u.u and v.v.
  static func distance(products: (Double, Double, Double)) -> Double {
    1 - products.0 / (norm(products.1) * norm(products.2))
  }

  private static func norm(_ squares: Double) -> Double { max(squares.squareRoot(), Double(leastNorm)) }
}
