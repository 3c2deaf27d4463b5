/// A chain, and the tile that its package was made for; what `tinysr export` writes into the
/// package's metadata.
struct ChainSpec: Equatable, Sendable {
    let chain: Chain
    /// Side of a tile in image pixels, which the whole takes; windows are as large.
    let tile: Int

    init(chain: Chain, tile: Int) throws {
        guard tile > 0, tile <= 1 << 20,
            chain.stages.allSatisfy({ tile * chain.scale % ($0.align * chain.cell($0)) == 0 })
        else {
            throw TinySRError.modelUnfit(
                expected: "a tile that divides into the cells of every stage", found: "\(tile)")
        }
        for stage in chain.stages where stage.name != Chain.whole {
            guard case .tiles(let side, _) = stage.division else { continue }
            let pixels = chain.pixels(stage, side)
            guard pixels <= tile else {
                throw TinySRError.modelUnfit(
                    expected: "tiles of \(stage.name) of at most \(tile) pixels",
                    found: "\(pixels)")
            }
        }
        self.chain = chain
        self.tile = tile
    }

    /// Reads the keys `chain` and `tile`.
    init(metadata: [String: String]) throws {
        func value(_ key: String) throws -> String {
            guard let value = metadata[key] else {
                throw TinySRError.modelUnfit(expected: "\(key) in the metadata", found: "none")
            }
            return value
        }
        guard let tile = Int(try value("tile")) else {
            throw TinySRError.modelUnfit(
                expected: "a whole number as tile in the metadata", found: try value("tile"))
        }
        try self.init(chain: Chain(json: value("chain")), tile: tile)
    }

    /// Pixels along the shorter side of the smallest image: the largest tile.
    var least: Int {
        chain.functions.reduce(chain.multiple) { least, function in
            let pixels = sides(of: function).reads * chain.ends(function).reads.pixelsPerCell
            return max(least, pixels / chain.scale)
        }
    }

    /// Returns the sides of what a function reads and gives, in one run.
    func sides(of function: String) -> (reads: Int, gives: Int) {
        var pixels = tile * chain.scale
        if let stage = chain.stages.first(where: { $0.name == function }),
            case .tiles(let side, _) = stage.division
        {
            pixels = side * chain.cell(stage)
        }
        let (reads, gives) = chain.ends(function)
        return (pixels / reads.pixelsPerCell, pixels / gives.pixelsPerCell)
    }

    /// All stages as one, whose cells are the image's pixels.
    ///
    /// It is blended if one of them is; if all run on windows, so does the whole, with the
    /// surroundings of all together.
    var whole: Chain.Stage {
        if let only = chain.stages.first(where: { $0.name == Chain.whole }) { return only }
        var (halo, overlap): (Int, Int?) = (0, nil)
        var isWhole = false
        for stage in chain.stages {
            switch stage.division {
            case .windows(let cells): halo += chain.pixels(stage, cells)
            case .tiles(_, let cells): overlap = max(overlap ?? 0, chain.pixels(stage, cells))
            case .whole: isWhole = true
            }
        }
        let blended = overlap.map { Chain.Kind.tiles(side: tile, overlap: $0) }
        return Chain.Stage(
            name: Chain.whole, reads: Chain.image, gives: Chain.result,
            division: isWhole ? .whole : blended ?? .windows(halo: halo), align: chain.multiple)
    }

    /// Returns the stages in which images larger than a tile run.
    ///
    /// - Parameter hasStages: whether there is a function for each stage.
    func stages(hasStages: Bool) -> [Chain.Stage] { hasStages ? chain.stages : [whole] }

    /// Returns whether larger images are made as if in one piece, and not of finished tiles.
    func isExact(hasStages: Bool) -> Bool {
        guard case .tiles = stages(hasStages: hasStages).last?.division else { return true }
        return false
    }
}
