/// Places of one image's tiles. Tiles are squares, in cells.
struct Grid: Equatable, Sendable {
    let tile: Int
    /// Top of each row of tiles.
    let rows: [Int]
    /// Left of each column of tiles.
    let columns: [Int]

    /// Lays tiles over so many cells, both at least `tile`.
    init(height: Int, width: Int, tile: Int, overlap: Int) {
        self.tile = tile
        rows = tileStarts(length: height, tile: tile, overlap: overlap)
        columns = tileStarts(length: width, tile: tile, overlap: overlap)
    }

    /// Number of tiles.
    var count: Int { rows.count * columns.count }
}

/// Returns where tiles start along a side: every `tile - overlap`, the last one flush.
///
/// - Parameter length: the side, at least `tile`.
func tileStarts(length: Int, tile: Int, overlap: Int) -> [Int] {
    stride(from: 0, to: length - tile, by: tile - overlap) + [length - tile]
}
