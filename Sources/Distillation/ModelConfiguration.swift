/// What determines a model's layers and its loss: enough to rebuild the model of a checkpoint.
///
/// The raw values of the enumerations are the words that configuration files, command lines and checkpoints use.
public struct ModelConfiguration: Sendable, Equatable {
  /// The teacher's architecture, which the student's decoder mirrors.
  public var backbone: Backbone
  public var loss: DistillationLoss
  public var fusion: Fusion
  public var bottleneck: BottleneckKind
  /// Height and width of the square input, in pixels; a multiple of 32, since the embedding is a 32nd of it.
  public var imageSize: Int

  /// The paper's main model at its resolution, in the authors' released variant.
  public init(
    backbone: Backbone = .wideResNet50x2, loss: DistillationLoss = .flattened, fusion: Fusion = .concatenation,
    bottleneck: BottleneckKind = .multiScale, imageSize: Int = 256
  ) {
    self.backbone = backbone
    self.loss = loss
    self.fusion = fusion
    self.bottleneck = bottleneck
    self.imageSize = imageSize
  }
}

/// The networks that can teach: ResNets by torchvision's names, and a small one.
public enum Backbone: String, CaseIterable, Codable, Sendable {
  case resNet18 = "resnet18"
  case resNet34 = "resnet34"
  case resNet50 = "resnet50"
  case wideResNet50x2 = "wide_resnet50_2"
  case efficientNetLite0 = "efficientnet_lite0"
}

/// How a scale of the student is compared with the teacher's: one minus a cosine, summed over the scales.
public enum DistillationLoss: String, CaseIterable, Codable, Sendable {
  /// One cosine over all channels and pixels of an image, mean over the batch (the authors' code).
  case flattened
  /// One cosine along the channels of every pixel, mean over pixels and batch (the paper's equations 1 and 2).
  case perPixel = "per_pixel"
}

/// What multi-scale feature fusion hands to the one-class embedding.
public enum Fusion: String, CaseIterable, Codable, Sendable {
  /// The concatenation of the three scales, three times as wide as stage 3 (the authors' code).
  case concatenation
  /// The concatenation brought to the width of stage 3 by a 1x1 convolution (the paper's figure 4).
  case convolution
}

/// What stands between teacher and student (the paper's table 5).
public enum BottleneckKind: String, CaseIterable, Codable, Sendable {
  /// Multi-scale feature fusion, then the one-class embedding: the full module.
  case multiScale = "mff+oce"
  /// A trainable stage 4 on the teacher's third stage.
  case oneClassEmbedding = "oce"
  /// The teacher's own frozen stage 4.
  case pretrained
}
