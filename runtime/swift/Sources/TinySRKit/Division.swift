/// One stage's runs on one image.
struct StageRuns: Equatable, Sendable {
    /// Windows whose results are put side by side, or tiles whose results are blended.
    enum Layout: Equatable, Sendable {
        case windows(rows: [Span], columns: [Span])
        case tiles(Grid)
    }

    let stage: Chain.Stage
    /// Height of the image, in the stage's cells.
    let height: Int
    /// Width of the image, in the stage's cells.
    let width: Int
    let layout: Layout

    /// - Parameters:
    ///   - size: of what the model sees, in image pixels.
    ///   - spec: of the chain that the stage is of.
    init(_ stage: Chain.Stage, of size: Size, spec: ChainSpec) throws {
        let chain = spec.chain
        self.stage = stage
        height = size.height * chain.scale / chain.cell(stage)
        width = size.width * chain.scale / chain.cell(stage)
        let side = spec.tile * chain.scale / chain.cell(stage)
        let isWhole = height == side && width == side
        switch stage.division {
        case .tiles(let side, let overlap):
            layout = .tiles(Grid(height: height, width: width, tile: side, overlap: overlap))
        case .windows(let halo):
            let block = stage.align  // all sides divide by it
            let around = (halo + block - 1) / block
            guard isWhole || side > 2 * around * block else {
                throw TinySRError.modelUnfit(
                    expected: "a tile of over \(chain.pixels(stage, 2 * around * block)) pixels, "
                        + "which are the surroundings of what a window of \(stage.name) gives",
                    found: "\(spec.tile)")
            }
            func spans(_ length: Int) -> [Span] {
                windowSpans(length: length / block, side: side / block, halo: around)
                    .map { $0.enlarged(block) }
            }
            layout = .windows(rows: spans(height), columns: spans(width))
        case .whole:
            guard isWhole else {
                throw TinySRError.imageUnfit(
                    expected: "\(spec.tile)×\(spec.tile) pixels, which \(stage.name) takes as a "
                        + "whole",
                    found: "\(size.width)×\(size.height)")
            }
            let whole = windowSpans(length: side, side: side, halo: 0)
            layout = .windows(rows: whole, columns: whole)
        }
    }

    /// Number of runs.
    var count: Int {
        switch layout {
        case .windows(let rows, let columns): rows.count * columns.count
        case .tiles(let grid): grid.count
        }
    }
}

/// How an image is divided among runs of the stages, in their order.
struct Division: Equatable, Sendable {
    let parts: [StageRuns]

    /// An image of a tile is one run of the whole.
    ///
    /// - Parameters:
    ///   - size: of what the model sees, in image pixels.
    ///   - hasStages: whether there is a function for each stage. Without, the whole is all there
    ///     is, and larger images are divided for it.
    init(of size: Size, spec: ChainSpec, hasStages: Bool) throws {
        let tile = spec.sides(of: Chain.whole).reads
        let isTile = size == Size(width: tile, height: tile)
        let stages = spec.stages(hasStages: hasStages && !isTile)
        parts = try stages.map { try StageRuns($0, of: size, spec: spec) }
    }

    /// Names of the functions that run.
    var functions: [String] { parts.map(\.stage.name) }

    /// Runs of the model in all.
    var runs: Int { parts.reduce(0) { $0 + $1.count } }
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
