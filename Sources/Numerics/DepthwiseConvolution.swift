import CVectorKernels

extension ThreadTeam {
  /// A depthwise convolution with frozen weights, and what follows it. In single precision always: memory bounds it, not arithmetic.
  /// - Parameter weights: `[kernel][kernel][channel]`
  public func depthwise(
    _ shape: ConvolutionShape, images: Int, x: UnsafePointer<Float>, weights: UnsafePointer<Float>, epilogue: Epilogue,
    into y: UnsafeMutablePointer<Float>
  ) throws {
    let (width, channels) = (shape.outputWidth, shape.outputChannels)
    try run(images * shape.outputHeight) { row, _ in
      let (image, first) = row.quotientAndRemainder(dividingBy: shape.outputHeight)
      let target = y + row * width * channels
      rd_depthwise(
        x + image * shape.inputCount, shape.inputHeight, shape.inputWidth, channels, weights, shape.kernel,
        shape.stride,
        shape.padding, width, first, 1, target)
      epilogue.finish(
        target, stride: channels, pixels: row * width..<(row + 1) * width, channels: 0..<channels,
        outputChannels: channels)
    }
  }
}
