// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "ReverseDistillation",
  products: [
    .executable(name: "rd-train", targets: ["rd-train"]),
    .executable(name: "rd-eval", targets: ["rd-eval"]),
    .executable(name: "rd-data", targets: ["rd-data"]),
    // For other programs; Diagnostics for the type of its errors.
    .library(name: "ReverseDistillation", targets: ["ReverseDistillation", "Diagnostics"]),
    // What tests preload into the tools.
    .library(name: "CFaultyCalls", type: .dynamic, targets: ["CFaultyCalls"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
  ],
  targets: [
    // The C edge.
    .systemLibrary(
      name: "COpenMPI", pkgConfig: "ompi-c", providers: [.apt(["libopenmpi-dev", "openmpi-bin"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(
      name: "CImageCodecs",
      linkerSettings: ["png", "jpeg", "tiff", "webp"].map { .linkedLibrary($0) }),
    .systemLibrary(name: "CMalloc"),
    .target(name: "CVectorKernels"),

    // The system.
    .target(name: "Diagnostics", dependencies: ["CCrypto"]),
    .target(name: "FileSystem", dependencies: ["Diagnostics"]),
    .target(name: "RandomStreams"),
    .target(
      name: "Numerics", dependencies: ["COpenBLAS", "CVectorKernels", "Diagnostics"]),
    .target(name: "Collectives", dependencies: ["COpenMPI", "CVectorKernels", "Diagnostics"]),
    .target(name: "Network", dependencies: ["Numerics", "Collectives", "CVectorKernels", "Diagnostics"]),
    .target(name: "TensorFiles", dependencies: ["CZlib", "FileSystem", "Diagnostics"]),
    .target(name: "Imagery", dependencies: ["CImageCodecs", "CZlib", "FileSystem", "RandomStreams", "Diagnostics"]),
    .target(name: "Metrics", dependencies: ["Collectives", "RandomStreams", "FileSystem", "Diagnostics"]),
    .target(
      name: "Distillation",
      dependencies: ["Network", "RandomStreams", "Numerics", "CVectorKernels", "TensorFiles", "Diagnostics"]),
    .target(name: "Checkpoints", dependencies: ["CHDF5", "FileSystem", "TensorFiles", "Metrics", "Diagnostics"]),
    .target(
      name: "Jobs",
      dependencies: [
        "CMalloc", "COpenMPI", "CHDF5", "COpenBLAS", "CImageCodecs", "CZlib", "CCrypto", "Collectives", "Numerics",
        "FileSystem", "Diagnostics",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    // What training and evaluation have in common.
    .target(
      name: "Scoring",
      dependencies: [
        "Distillation", "Numerics", "Collectives", "Imagery", "Metrics", "Jobs", "Diagnostics",
      ]),
    .target(
      name: "Training",
      dependencies: [
        "CVectorKernels", "Scoring", "Distillation", "Network", "Numerics", "Collectives", "Imagery", "Checkpoints",
        "Metrics",
        "TensorFiles",
        "FileSystem", "Jobs", "Diagnostics", "TOMLKit",
      ]),
    .target(name: "Reports", dependencies: ["Imagery", "Metrics", "FileSystem", "Diagnostics"]),

    .executableTarget(
      name: "rd-train",
      dependencies: [
        "Training", "Jobs", "Collectives", "Diagnostics",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .target(
      name: "Evaluation",
      dependencies: [
        "Training", "Scoring", "Reports", "Metrics", "Checkpoints", "Distillation", "Imagery", "Collectives", "Network",
        "Numerics",
        "TensorFiles", "FileSystem", "Jobs", "Diagnostics",
      ]),
    // What other programs get.
    .target(
      name: "ReverseDistillation",
      dependencies: [
        "Evaluation", "Scoring", "Metrics", "Distillation", "Imagery", "Collectives", "Jobs", "Diagnostics",
      ]),
    .executableTarget(name: "score-image", dependencies: ["ReverseDistillation"], path: "docs/examples/score-image"),
    .executableTarget(
      name: "rd-eval",
      dependencies: [
        "Evaluation", "Reports", "Training", "Jobs", "Distillation", "Imagery", "Metrics", "Collectives", "Diagnostics",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "rd-data",
      dependencies: [
        "Imagery", "Reports", "Jobs", "Diagnostics",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "rd-bench",
      dependencies: [
        "Training", "Scoring", "Distillation", "Network", "Numerics", "CVectorKernels", "Metrics", "Collectives",
        "COpenBLAS",
        "TensorFiles", "FileSystem", "Jobs",
        "Diagnostics", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .testTarget(name: "DiagnosticsTests", dependencies: ["Diagnostics"]),
    .testTarget(name: "CVectorKernelsTests", dependencies: ["CVectorKernels", "TestSupport"]),
    .testTarget(name: "NumericsTests", dependencies: ["Numerics", "Distillation", "Diagnostics", "TestSupport"]),
    // Training for the trajectory of its Adam.
    .testTarget(
      name: "DistillationTests",
      dependencies: [
        "Distillation", "Training", "Network", "Numerics", "Collectives", "CVectorKernels", "TensorFiles",
        "RandomStreams", "Diagnostics", "TestSupport",
      ],
      resources: [.copy("Fixtures")]),
    .testTarget(
      name: "ImageryTests", dependencies: ["Imagery", "FileSystem", "RandomStreams", "Diagnostics", "TestSupport"],
      resources: [.copy("Fixtures")]),
    .testTarget(
      name: "TensorFilesTests", dependencies: ["TensorFiles", "TestSupport"], resources: [.copy("Fixtures")]),
    .testTarget(
      name: "MetricsTests", dependencies: ["Metrics", "Collectives", "TestSupport"], resources: [.copy("Fixtures")]),
    .testTarget(
      name: "ReportsTests", dependencies: ["Reports", "Imagery", "Metrics", "Diagnostics", "TestSupport"]),
    .testTarget(name: "JobsTests", dependencies: ["Jobs", "Collectives", "Diagnostics", "TestSupport"]),
    .testTarget(
      name: "CheckpointsTests",
      dependencies: ["Checkpoints", "FileSystem", "TensorFiles", "Metrics", "Diagnostics", "TestSupport"]),
    .executableTarget(
      name: "collectives-probe", dependencies: ["Collectives", "Diagnostics"], path: "Tests/collectives-probe"),
    .testTarget(
      name: "CollectivesTests", dependencies: ["Collectives", "Diagnostics", "collectives-probe", "TestSupport"]),
    .target(name: "CFaultyCalls", path: "Tests/CFaultyCalls", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CCountedMemory", path: "Tests/CCountedMemory", linkerSettings: [.linkedLibrary("dl")]),
    .executableTarget(
      name: "training-probe",
      dependencies: [
        "CCountedMemory", "Training", "Distillation", "Network", "Numerics", "Collectives", "Jobs", "Diagnostics",
      ], path: "Tests/training-probe"),
    .executableTarget(
      name: "fuzz-probe",
      dependencies: [
        "Training", "Checkpoints", "TensorFiles", "Imagery", "FileSystem", "Diagnostics", "TestSupport",
      ], path: "Tests/fuzz-probe"),
    .testTarget(
      name: "TrainingTests",
      dependencies: [
        "Training", "Distillation", "Network", "Numerics", "Collectives", "Imagery", "Jobs", "Diagnostics", "rd-train",
        "training-probe", "TestSupport",
      ],
      resources: [.copy("Fixtures")]),
    .testTarget(
      name: "ParallelTests",
      dependencies: [
        "Evaluation", "Metrics", "Checkpoints", "Collectives", "Jobs", "Diagnostics", "Distillation", "Imagery",
        "Numerics", "TensorFiles", "TestSupport", "rd-train", "rd-eval", "rd-data", "rd-bench", "fuzz-probe",
        "score-image", "ReverseDistillation",
      ]),
  ],
  swiftLanguageModes: [.v6]
)
