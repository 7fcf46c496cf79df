import Distillation
import Foundation
import Imagery
import Numerics

/// Everything that a training run is told. The defaults are the paper's settings.
///
/// The same keys exist in a TOML file and, with dashes, on the command line (``Key``). A value that comes from either has been checked;
/// one that a program sets itself has not.
public struct TrainingConfiguration: Sendable, Equatable {
  // MARK: Data

  /// Folder of the data set, or the file of its table; empty where ``normal`` takes its place.
  public var data: String
  /// How the files lie; nil to find it out.
  public var layout: DataSet.Layout?
  /// Folders of pictures in the place of a data set: normal ones, anomalous ones to test with, and masks of these.
  public var normal: String?
  public var anomalous: String?
  public var masks: String?
  /// A category, several with commas between them, or `all` of the data set: see ``categories``.
  public var category: String?
  /// Whether images that cannot be read are left out; otherwise one ends the run.
  public var skipUnreadable = false
  /// Where the run writes its configuration, log and checkpoints.
  public var output: String
  /// The share of the normal images that are not trained on: by their scores later ones are judged.
  public var validationFraction = 0.0

  // MARK: Model

  /// The teacher's weights: a file, or `random:SEED` for an untrained one.
  public var teacher: String
  public var backbone = Backbone.wideResNet50x2
  public var preset = Preset.reference
  /// Takes the place of the preset's loss.
  public var loss: DistillationLoss?
  /// Takes the place of the preset's fusion.
  public var fusion: Fusion?
  public var bottleneck = BottleneckKind.multiScale
  /// Height and width of the network's input, an image or a tile of one, in pixels; a multiple of 32.
  public var imageSize = 256
  /// How images that are not square are brought to that.
  public var fit = ImageFit.stretch
  /// Tiles into which images are cut, each way; each is an input of the network, `imageSize` high and wide.
  public var tiles = 1

  // MARK: Optimisation

  public var epochs = 200
  /// Training ends after this many steps, if the epochs do not end it earlier.
  public var maxSteps: Int?
  /// Images of a step, or tiles of images, over all ranks.
  public var batchSize = 16
  public var learningRate = 0.005
  public var adamBeta1 = 0.5
  public var adamBeta2 = 0.999
  /// Determines the initial weights and the order of the images. At most `Int64.max`, which is as far as TOML counts.
  public var seed: UInt64 = 111
  /// Parts into which the training set is cut, whatever the number of ranks.
  public var logicalShards = 8

  // MARK: Execution

  /// Threads of a rank; without a number, the cores it may use, divided by the ranks that share them.
  public var threads: Int?
  public var engine = EngineKind.vector
  public var precision = Precision.fp32
  public var featureCache = FeatureCache.automatic
  public var endTime = EndTime.automatic
  public var stallTimeout = StallTimeout.seconds(600)
  /// Of several categories, how many ranks train one, while others train another; without a number, all ranks.
  public var ranksPerCategory: Int?

  // MARK: Checkpoints

  public var resume = Resume.automatic
  public var checkpointEvery = Interval.epochs(10)
  /// How many of the newest checkpoints are kept, at least two.
  public var keepCheckpoints = 2
  /// Whether a checkpoint holds the teacher itself, so that evaluation needs no other file, or its hash only.
  public var embedTeacher = true
  public var statistics = Statistics.final

  // MARK: Evaluation on the way

  /// How often the run is evaluated; nil for never.
  public var evaluateEvery: Interval?
  /// Folder of the data set whose test images are scored then; nil for none. With ``category``, as ``data``.
  public var evaluationData: String?
  /// By what the best checkpoint is known, and when training stops early.
  public var bestBy = Criterion.validationLoss
  /// Training ends after so many evaluations without a better one; nil for never.
  public var earlyStop: Int?

  // MARK: Logs

  /// Where the state of the run is written, in Prometheus's text format; nil for nowhere. Of several categories each has a file of its own.
  public var metricsFile: String?
  /// Where a trace of the first steps is written; nil for nowhere. Of several categories each has a file of its own.
  public var trace: String?

  /// The paper's settings for this data set, teacher and output folder.
  public init(data: String, teacher: String, output: String) {
    self.data = data
    self.teacher = teacher
    self.output = output
  }

  /// What is trained on.
  public var dataSet: DataSet {
    normal.map { DataSet(normal: $0, anomalous: anomalous, masks: masks) } ?? DataSet(data, layout: layout)
  }

  /// What is tested with on the way, if anything.
  var testSet: DataSet? {
    evaluateEvery == nil ? nil : evaluationData.map { DataSet($0, layout: layout) } ?? anomalous.map { _ in dataSet }
  }

  /// The model that backbone, preset and the options that override the preset ask for.
  public var model: ModelConfiguration {
    ModelConfiguration(
      backbone: backbone, loss: loss ?? preset.loss, fusion: fusion ?? preset.fusion, bottleneck: bottleneck,
      imageSize: imageSize)
  }

  /// How images are cut into the network's inputs.
  public var grid: TileGrid { TileGrid(perSide: tiles, tileSide: imageSize) }
}

extension TrainingConfiguration {
  /// The two readings of the method, which differ in loss and fusion.
  public enum Preset: String, CaseIterable, Sendable {
    /// The code that the authors released.
    case reference
    /// The text of the paper.
    case paper

    public var loss: DistillationLoss { self == .reference ? .flattened : .perPixel }
    public var fusion: Fusion { self == .reference ? .concatenation : .convolution }
  }

  /// What a run starts from.
  public enum Resume: Sendable, Equatable {
    /// The newest valid checkpoint of the output folder, or the beginning where there is none.
    case automatic
    /// The beginning.
    case never
    /// This checkpoint.
    case file(String)
  }

  /// How often something is done.
  public enum Interval: Sendable, Equatable {
    case epochs(Int)
    case steps(Int)
  }

  /// What makes one state of the student better than another.
  public enum Criterion: String, CaseIterable, Sendable {
    /// A lower loss of the normal images held out.
    case validationLoss = "validation_loss"
    // Measures of the labelled test images: what is chosen by them is not to be judged by them.
    case imageAUROC = "image_auroc"
    case pixelAUROC = "pixel_auroc"
    case aupro
  }

  /// When the anomaly-score statistics of the normal images are taken.
  public enum Statistics: String, CaseIterable, Sendable {
    /// At the end of training.
    case final
    /// At the end of training and at every checkpoint.
    case checkpoint
  }

  /// The memory in which a rank keeps the teacher's features of its images.
  public enum FeatureCache: Sendable, Equatable {
    /// As much as the rank finds free.
    case automatic
    case off
    /// At most this much.
    case bytes(Int)

    func bytes(automatic: Int) -> Int {
      switch self {
      case .automatic: automatic
      case .off: 0
      case .bytes(let count): count
      }
    }
  }

  /// When the job that the run is part of is ended, finished or not.
  public enum EndTime: Sendable, Equatable {
    /// As the scheduler says, where it does.
    case automatic
    case none
    case at(Date)

    /// - Parameter scheduled: what the scheduler says.
    public func date(automatic scheduled: Date?) -> Date? {
      switch self {
      case .automatic: scheduled
      case .none: nil
      case .at(let time): time
      }
    }
  }
}
