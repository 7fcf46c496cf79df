/// A pass of a convolution, or a part of it, as one matrix product: windows of a source image, each times a matrix of weights, are pixels of a
/// target image.
///
/// A forward convolution is one such product. The input gradient of one with stride s is s x s of them, one for each residue of the pixels'
/// coordinates, since these meet different taps; and so is the forward pass of a transposed convolution.
struct PatchProduct {
  // The source, and the window that place (0, 0) sees; that of place (i, j) lies i and j strides further.
  var height: Int
  var width: Int
  var channels: Int
  var windowWidth: Int
  var stride = 1
  var top = 0
  var left = 0

  // The places of an image.
  var rowsHigh: Int
  var rowsWide: Int

  // The target, and its pixel for place (0, 0); that for place (i, j) lies i and j strides further.
  var targetHeight: Int
  var targetWidth: Int
  var columns: Int
  var targetStride = 1
  var targetTop = 0
  var targetLeft = 0

  /// For each tap of the window the first of its weights, channels x columns.
  var taps: [Int]
  var rowStride: Int
  var columnStride: Int

  /// The length of a window's values.
  var depth: Int { taps.count * channels }
  var rowsPerImage: Int { rowsHigh * rowsWide }
  var source: ConvolutionShape.Map { ConvolutionShape.Map(height: height, width: width, channels: channels) }
  /// Whether the windows are the pixels of the source as they lie in memory.
  var isPixelwise: Bool {
    taps.count == 1 && stride == 1 && (top, left) == (0, 0) && (rowsHigh, rowsWide) == (height, width)
  }
  /// Whether the places are the pixels of the target in their order.
  var isDense: Bool { targetStride == 1 }

  /// The products of a forward pass.
  static func forward(_ shape: ConvolutionShape) -> [PatchProduct] {
    let layout = (row: shape.inputWeightStride, column: 1)
    return shape.isTransposed
      ? residues(shape, from: shape.input, to: shape.output, layout)
      : [windows(shape, from: shape.input, to: shape.output, layout)]
  }

  /// The products of an input gradient. Pixels that meet no tap are in none of them: their gradient is zero.
  static func inputGradient(_ shape: ConvolutionShape) -> [PatchProduct] {
    let layout = (row: 1, column: shape.inputWeightStride)
    return shape.isTransposed
      ? [windows(shape, from: shape.output, to: shape.input, layout)]
      : residues(shape, from: shape.output, to: shape.input, layout)
  }

  /// The window of every target pixel, all taps.
  private static func windows(
    _ shape: ConvolutionShape, from source: ConvolutionShape.Map, to target: ConvolutionShape.Map,
    _ layout: (row: Int, column: Int)
  ) -> PatchProduct {
    PatchProduct(
      height: source.height, width: source.width, channels: source.channels, windowWidth: shape.kernel,
      stride: shape.stride, top: -shape.padding, left: -shape.padding, rowsHigh: target.height, rowsWide: target.width,
      targetHeight: target.height, targetWidth: target.width, columns: target.channels,
      taps: (0..<shape.kernel * shape.kernel).map { $0 * shape.tapWeightStride }, rowStride: layout.row,
      columnStride: layout.column)
  }

  /// The other way round: a target pixel at coordinate p meets source pixel (p + padding - tap) / stride for every tap where that is whole.
  private static func residues(
    _ shape: ConvolutionShape, from source: ConvolutionShape.Map, to target: ConvolutionShape.Map,
    _ layout: (row: Int, column: Int)
  ) -> [PatchProduct] {
    let axis = (0..<shape.stride).map { residue -> (first: Int, taps: [Int]) in
      let taps = Array(
        Swift.stride(from: (residue + shape.padding) % shape.stride, to: shape.kernel, by: shape.stride).reversed())
      // The tap nearest to the end meets the first source pixel.
      return (taps.first.map { (residue + shape.padding - $0) / shape.stride } ?? 0, taps)
    }
    return axis.indices.flatMap { y in
      axis.indices.compactMap { x -> PatchProduct? in
        let (vertical, horizontal) = (axis[y], axis[x])
        guard !vertical.taps.isEmpty, !horizontal.taps.isEmpty, y < target.height, x < target.width else { return nil }
        return PatchProduct(
          height: source.height, width: source.width, channels: source.channels, windowWidth: horizontal.taps.count,
          top: vertical.first, left: horizontal.first, rowsHigh: parts(of: target.height - y, size: shape.stride),
          rowsWide: parts(of: target.width - x, size: shape.stride), targetHeight: target.height,
          targetWidth: target.width, columns: target.channels, targetStride: shape.stride, targetTop: y, targetLeft: x,
          taps: vertical.taps.flatMap { u in
            horizontal.taps.map { v in (u * shape.kernel + v) * shape.tapWeightStride }
          }, rowStride: layout.row, columnStride: layout.column)
      }
    }
  }
}

extension ConvolutionShape {
  /// The size of an image's tensor.
  struct Map {
    let height: Int
    let width: Int
    let channels: Int
  }

  var input: Map { Map(height: inputHeight, width: inputWidth, channels: inputChannels) }
  var output: Map { Map(height: outputHeight, width: outputWidth, channels: outputChannels) }

  // How weights lie: those of one tap, and of one input channel, are so far from the next ones. Output channels are neighbours.
  var tapWeightStride: Int { isTransposed ? outputChannels : inputChannels * outputChannels }
  var inputWeightStride: Int { (isTransposed ? kernel * kernel : 1) * outputChannels }
}
