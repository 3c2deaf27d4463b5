/// The functions of a package, and how an image of any size runs through them.
protocol Network {
    var spec: ChainSpec { get }
    /// Whether there is a function for each stage.
    var hasStages: Bool { get }
    /// Runs a function once, on as much as it takes: `ChainSpec.sides`.
    ///
    /// - Parameters:
    ///   - function: a stage's name, or `Chain.whole`.
    ///   - input: what it reads, `[channels, side, side]`; images are RGB in [0, 1].
    func run(_ function: String, _ input: Planes) throws -> Planes
}

extension Network {
    /// Maps an image `[3, h, w]` to its result, cropped to a size.
    ///
    /// Windows have as much around them as their results depend on, and tiles are blended: no
    /// border is left. Where only the whole is there, finished tiles may have to be blended as
    /// pixels. That is not equal: near its borders, a tile lacks its surroundings.
    func run(
        _ image: Planes, division: Division, output: Size, steps: Steps
    ) throws -> Raster {
        var field = image
        for part in division.parts.dropLast() {
            field = try runInner(part, on: field, steps)
        }
        var result = Raster(width: output.width, height: output.height)
        if let last = division.parts.last {
            try run(last, on: field, steps) { top, left, values in
                result.paste(Raster(values), top: top, left: left)
            }
        }
        return result
    }

    /// Returns a field between two stages from the one before it.
    private func runInner(_ part: StageRuns, on source: Planes, _ steps: Steps) throws -> Planes {
        let writes = spec.chain.places(part.stage).gives
        var field = Planes(
            zeros: spec.chain.ends(part.stage.name).gives.channels, height: part.height * writes,
            width: part.width * writes)
        try run(part, on: source, steps) { top, left, values in
            field.paste(values, top: top, left: left)
        }
        return field
    }

    private func run(
        _ part: StageRuns, on source: Planes, _ steps: Steps,
        put: (_ top: Int, _ left: Int, _ values: Planes) throws -> Void
    ) throws {
        let name = part.stage.name
        let (reads, writes) = spec.chain.places(part.stage)
        func step(_ input: Planes) throws -> Planes {
            let result = try run(name, input)
            guard result.isFinite else { throw TinySRError.notFinite(function: name) }
            try steps.advance()
            return result
        }
        switch part.layout {
        case .windows(let rows, let columns):
            for y in rows {
                for x in columns {
                    let window = try step(source.crop(y.read(reads), x.read(reads)))
                    let kept = window.crop(y.kept(writes), x.kept(writes))
                    try put(y.first * writes, x.first * writes, kept)
                }
            }
        case .tiles(let grid):
            try blend(
                source, grid: grid, channels: spec.chain.ends(name).gives.channels, reads: reads,
                writes: writes, run: step, put: { row, lines in try put(row, 0, lines) })
        }
    }
}
