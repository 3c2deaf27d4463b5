// swift-tools-version: 5.9

import PackageDescription

let package = Package(
    name: "TinySRKit",
    platforms: [.iOS(.v17), .macOS(.v14)],
    products: [
        .library(name: "TinySRKit", targets: ["TinySRKit"])
    ],
    targets: [
        .target(
            name: "TinySRKit",
            swiftSettings: [.enableExperimentalFeature("StrictConcurrency")]
        ),
        .testTarget(
            name: "TinySRKitTests",
            dependencies: ["TinySRKit"],
            resources: [.copy("Resources/golden.json")]
        ),
    ]
)
