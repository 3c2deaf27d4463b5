/// How an image is divided among runs of the model.
enum Division: Equatable, Sendable {
    case single
    /// Windows of the autoencoder, for each of its two stages, and tiles of the transformer.
    case stages(windows: Int, tiles: Int)
    case pixels(tiles: Int)

    /// - Parameters:
    ///   - size: of what the model sees, in image pixels.
    ///   - hasStages: whether the package has `encode`, `transform` and `decode`.
    init(of size: Size, spec: TileSpec, hasStages: Bool) throws {
        if size == Size(width: spec.tile, height: spec.tile) {
            self = .single
        } else if hasStages {
            guard spec.latentTile > 2 * spec.halo else {
                throw TinySRError.modelUnfit(
                    expected: "a tile of over \(2 * spec.halo * TileSpec.latentStride) pixels, "
                        + "which are the surroundings of what a window gives",
                    found: "\(spec.tile)")
            }
            let stride = TileSpec.latentStride
            let (height, width) = (size.height / stride, size.width / stride)
            let (side, overlap) = (spec.latentTile, spec.overlap)
            self = .stages(
                windows: windowSpans(length: height, side: side, halo: spec.halo).count
                    * windowSpans(length: width, side: side, halo: spec.halo).count,
                tiles: tileStarts(length: height, tile: side, overlap: overlap).count
                    * tileStarts(length: width, tile: side, overlap: overlap).count)
        } else {
            let (side, overlap) = (spec.tile, spec.pixelOverlap)
            self = .pixels(
                tiles: tileStarts(length: size.height, tile: side, overlap: overlap).count
                    * tileStarts(length: size.width, tile: side, overlap: overlap).count)
        }
    }

    /// Runs of the model in all.
    var runs: Int {
        switch self {
        case .single: 1
        case .stages(let windows, let tiles): 2 * windows + tiles
        case .pixels(let tiles): tiles
        }
    }
}

/// Called after each run of the model with the number of runs done, and of all of them.
public typealias Progress = @Sendable (_ done: Int, _ total: Int) -> Void

/// Counts runs of the model, and ends them when their task is cancelled.
final class Steps {
    private let total: Int
    private let progress: Progress?
    private var done = 0

    init(total: Int, progress: Progress?) {
        self.total = total
        self.progress = progress
    }

    /// - Throws: `CancellationError`.
    func advance() throws {
        done += 1
        progress?(done, total)
        try Task.checkCancellation()
    }
}
