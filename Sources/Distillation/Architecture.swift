import Network
import Numerics

extension Backbone {
  /// Whether the student's blocks are as few and as plain as ResNet-18's.
  private var isSmall: Bool { self == .resNet18 || self == .efficientNetLite0 }
  /// Blocks of a ResNet's stages 1 to 3, in which order the student's decoder has them too: 16x16 first (the authors' code).
  var stageBlocks: [Int] { isSmall ? [2, 2, 2] : [3, 4, 6] }
  /// Blocks of stage 4, be it a ResNet's or the one-class embedding.
  var embeddingBlocks: Int { isSmall ? 2 : 3 }
  var hasBottleneckBlocks: Bool { self == .resNet50 || self == .wideResNet50x2 }
  /// How many times wider a block's output is than its planes.
  var expansion: Int { hasBottleneckBlocks ? 4 : 1 }
  /// Channels of the 3x3 convolution in a block.
  func width(planes: Int) -> Int { self == .wideResNet50x2 ? 2 * planes : planes }
  /// A ResNet's channels of scales 1, 2, 3 and of the embedding, before expansion. EfficientNet-Lite0's are those of its stages; its embedding is as wide
  /// as its first layers at that resolution, 192, which squeezes scale 3 about as much as ResNet's does (by 0.43; by 0.5).
  var planes: [Int] { self == .efficientNetLite0 ? EfficientNetLite0.channels : [64, 128, 256, 512] }
  /// What goes through the last block of a decoder's stage: the teacher's features, which it rebuilds, have gone through ReLU, but for EfficientNet's.
  var rebuilt: Activation { self == .efficientNetLite0 ? .linear : .relu }
}

/// The layers of teacher and student, in forward order, under PyTorch's names: torchvision's for a ResNet, the authors' for the student
/// (in front of which stand `bn.` and `decoder.`, the keys of their checkpoints).
public struct Architecture: Sendable {
  public let model: ModelConfiguration
  private var backbone: Backbone { model.backbone }

  public init(_ model: ModelConfiguration) { self.model = model }

  /// Channels of scale 1, 2 or 3 (and of the embedding, 4).
  public func channels(ofScale scale: Int) -> Int { backbone.planes[scale - 1] * backbone.expansion }
  /// Height and width of scale 1, 2 or 3 (and of the embedding, 4).
  public func side(ofScale scale: Int) -> Int { model.imageSize >> (scale + 1) }
  /// Floats of one image's features at a scale.
  public func featureCount(ofScale scale: Int) -> Int {
    side(ofScale: scale) * side(ofScale: scale) * channels(ofScale: scale)
  }

  // MARK: Teacher

  /// ResNet's is 7x7, of stride 2.
  public var teacherStem: UnitDescription {
    backbone == .efficientNetLite0
      ? EfficientNetLite0.stem(imageSize: model.imageSize)
      : unit("conv1", "bn1", convolution(3, 64, kernel: 7, stride: 2, side: model.imageSize))
  }

  /// Whether a 3x3 max pooling of stride 2 follows the stem.
  package var poolsStem: Bool { backbone != .efficientNetLite0 }

  /// Stage 1, 2, 3 or 4.
  public func teacherStage(_ stage: Int) -> [BlockDescription] {
    if backbone == .efficientNetLite0 { return EfficientNetLite0.stage(stage, imageSize: model.imageSize) }
    return stageOfBlocks(
      "layer\(stage)", inputChannels: stage == 1 ? 64 : channels(ofScale: stage - 1),
      planes: backbone.planes[stage - 1],
      blocks: stage == 4 ? backbone.embeddingBlocks : backbone.stageBlocks[stage - 1],
      side: stage == 1 ? side(ofScale: 1) : side(ofScale: stage - 1), change: stage == 1 ? .none : .halve)
  }

  /// Whether a file may have a tensor of this name that no stage needs: the classifier, and stage 4 where it is not the bottleneck.
  func isUnused(_ name: String) -> Bool {
    backbone == .efficientNetLite0
      ? EfficientNetLite0.isBehindStage3(name) : name.hasPrefix("fc.") || name.hasPrefix("layer4.")
  }

  /// The teacher's stages that are computed: the fourth only where it is the bottleneck.
  public var teacherStageCount: Int { model.bottleneck == .pretrained ? 4 : 3 }

  // MARK: One-class bottleneck embedding

  /// The convolutions that bring scales 1 (two of them) and 2 to the resolution of scale 3.
  public var fusionConvolutions: [UnitDescription] {
    [
      unit(
        "bn.conv1", "bn.bn1",
        convolution(channels(ofScale: 1), channels(ofScale: 2), kernel: 3, stride: 2, side: side(ofScale: 1))),
      unit(
        "bn.conv2", "bn.bn2",
        convolution(channels(ofScale: 2), channels(ofScale: 3), kernel: 3, stride: 2, side: side(ofScale: 2))),
      unit(
        "bn.conv3", "bn.bn3",
        convolution(channels(ofScale: 2), channels(ofScale: 3), kernel: 3, stride: 2, side: side(ofScale: 2))),
    ]
  }

  /// Channels of the concatenation of the three scales.
  public var concatenatedChannels: Int { 3 * channels(ofScale: 3) }

  /// The 1x1 convolution behind the concatenation (the paper's figure 4); nil in the authors' code.
  public var fusionProjection: UnitDescription? {
    guard model.fusion == .convolution else { return nil }
    return unit(
      "bn.fusion.0", "bn.fusion.1",
      convolution(concatenatedChannels, channels(ofScale: 3), kernel: 1, side: side(ofScale: 3)))
  }

  /// The one-class embedding: a stage 4 on the fused features, or on scale 3 alone.
  public var embedding: [BlockDescription] {
    let isConcatenated = model.bottleneck == .multiScale && model.fusion == .concatenation
    return stageOfBlocks(
      "bn.bn_layer", inputChannels: isConcatenated ? concatenatedChannels : channels(ofScale: 3),
      planes: backbone.planes[3],
      blocks: backbone.embeddingBlocks, side: side(ofScale: 3), change: .halve)
  }

  // MARK: Student decoder

  /// Stage 1 makes scale 3, stage 2 scale 2, stage 3 scale 1.
  public func decoderStage(_ stage: Int) -> [BlockDescription] {
    stageOfBlocks(
      "decoder.layer\(stage)", inputChannels: channels(ofScale: 5 - stage), planes: backbone.planes[3 - stage],
      blocks: backbone.stageBlocks[stage - 1], side: side(ofScale: 5 - stage), change: .double,
      lastActivation: backbone.rebuilt
    )
  }

  // MARK: Residual stages

  private enum Resolution {
    case none, halve, double

    func side(from side: Int) -> Int {
      switch self {
      case .none: side
      case .halve: side / 2
      case .double: 2 * side
      }
    }
  }

  private func stageOfBlocks(
    _ name: String, inputChannels: Int, planes: Int, blocks: Int, side: Int, change: Resolution,
    lastActivation: Activation = .relu
  ) -> [BlockDescription] {
    let outputChannels = planes * backbone.expansion
    let newSide = change.side(from: side)
    return (0..<blocks).map {
      block(
        "\(name).\($0)", inputChannels: $0 == 0 ? inputChannels : outputChannels, planes: planes,
        side: $0 == 0 ? side : newSide, change: $0 == 0 ? change : .none,
        activation: $0 == blocks - 1 ? lastActivation : .relu)
    }
  }

  private func block(
    _ name: String, inputChannels: Int, planes: Int, side: Int, change: Resolution, activation: Activation
  ) -> BlockDescription {
    let outputChannels = planes * backbone.expansion
    let newSide = change.side(from: side)
    /// The convolution of a block that changes the resolution, where the block does.
    func changing(_ input: Int, _ output: Int, kernel: Int) -> ConvolutionShape {
      change == .double
        ? ConvolutionShape(
          upsampling: 2, inputChannels: input, outputChannels: output, inputHeight: side, inputWidth: side)
        : convolution(input, output, kernel: kernel, stride: change == .halve ? 2 : 1, side: side)
    }
    let units: [UnitDescription]
    if backbone.hasBottleneckBlocks {
      let width = backbone.width(planes: planes)
      units = [
        unit("\(name).conv1", "\(name).bn1", convolution(inputChannels, width, kernel: 1, side: side)),
        unit("\(name).conv2", "\(name).bn2", changing(width, width, kernel: 3)),
        unit("\(name).conv3", "\(name).bn3", convolution(width, outputChannels, kernel: 1, side: newSide), activation),
      ]
    } else {
      units = [
        unit("\(name).conv1", "\(name).bn1", changing(inputChannels, planes, kernel: 3)),
        unit("\(name).conv2", "\(name).bn2", convolution(planes, planes, kernel: 3, side: newSide), activation),
      ]
    }
    let skipName = change == .double ? "upsample" : "downsample"
    let needsSkip = change != .none || inputChannels != outputChannels
    return BlockDescription(
      units: units,
      skip: needsSkip
        ? unit(
          "\(name).\(skipName).0", "\(name).\(skipName).1", changing(inputChannels, outputChannels, kernel: 1), .linear)
        : nil)
  }

  private func unit(
    _ convolution: String, _ normalization: String, _ shape: ConvolutionShape, _ activation: Activation = .relu
  ) -> UnitDescription {
    UnitDescription(convolution: convolution, normalization: normalization, shape: shape, activation: activation)
  }

  private func convolution(
    _ input: Int, _ output: Int, kernel: Int, stride: Int = 1, side: Int
  ) -> ConvolutionShape {
    ConvolutionShape(
      inputChannels: input, outputChannels: output, kernel: kernel, stride: stride, inputHeight: side, inputWidth: side)
  }
}

extension Architecture {
  /// All units of the teacher that are computed, in forward order.
  public var teacherUnits: [UnitDescription] {
    [teacherStem] + (1...teacherStageCount).flatMap { teacherStage($0).flatMap(\.allUnits) }
  }

  /// All units that are trained, in forward order.
  public var studentUnits: [UnitDescription] {
    var units: [UnitDescription] = []
    if model.bottleneck == .multiScale {
      units += fusionConvolutions
      if let fusionProjection { units.append(fusionProjection) }
    }
    if model.bottleneck != .pretrained { units += embedding.flatMap(\.allUnits) }
    return units + (1...3).flatMap { decoderStage($0).flatMap(\.allUnits) }
  }
}

extension BlockDescription {
  var allUnits: [UnitDescription] { units + (skip.map { [$0] } ?? []) }
}

extension UnitDescription {
  /// What is learnt: the weights, a scale and a shift by channel.
  public var parameterCount: Int { shape.weightCount + 2 * shape.outputChannels }
}
