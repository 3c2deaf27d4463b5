import Foundation

/// Averages overlapping tiles, each counted by a Gaussian around its centre.
///
/// It holds one row of tiles: tiles are added from left to right, and the lines that no later tile
/// touches are taken before the next row begins. Sums are fp32, because the weights of a tile's
/// corner underflow in fp16.
struct Blender {
    /// Variance of the Gaussian, in units of the tile's side squared.
    static let variance = 0.01

    /// Weights along a tile's side; a place counts by the product of its row's and its column's.
    private let line: [Float]
    /// Weights that all tiles of a row have together, column by column.
    private let across: [Float]
    /// Likewise from top to bottom.
    private let down: [Float]
    private var sums: Planes
    private var top = 0

    /// - Parameters:
    ///   - channels: of the result.
    ///   - grid: where the tiles lie, in cells.
    ///   - writes: places of the result along a cell's side.
    init(channels: Int, grid: Grid, writes: Int) {
        line = Self.gaussian(grid.tile * writes)
        across = Self.sum(line, at: grid.columns, writes)
        down = Self.sum(line, at: grid.rows, writes)
        sums = Planes(zeros: channels, height: line.count, width: across.count)
    }

    /// Returns the weights along a tile's side, largest in the middle.
    static func gaussian(_ side: Int) -> [Float] {
        let height = 1 / (2 * Double.pi * variance).squareRoot()
        return (0..<side).map { index in
            let offset = (Double(index) - Double(side - 1) / 2) / Double(side)
            return Float(height * exp(-(offset * offset) / (2 * variance)))
        }
    }

    private static func sum(_ line: [Float], at starts: [Int], _ writes: Int) -> [Float] {
        let last = starts.last ?? 0
        var total = [Float](repeating: 0, count: last * writes + line.count)
        for start in starts {
            for (index, weight) in line.enumerated() { total[start * writes + index] += weight }
        }
        return total
    }

    /// Adds a tile's result of the current row of tiles.
    mutating func add(_ result: Planes, left: Int) {
        for channel in 0..<sums.channels {
            for (y, weight) in line.enumerated() {
                let source = result.row(channel, y)
                let target = sums.row(channel, y) + left
                for x in line.indices {
                    sums.values[target + x] += result.values[source + x] * (weight * line[x])
                }
            }
        }
    }

    /// Returns the finished lines up to `row` of the result, where the next row of tiles begins.
    mutating func take(until row: Int) -> Planes {
        let lines = row - top
        var result = sums.crop(top: 0, left: 0, height: lines, width: sums.width)
        for channel in 0..<result.channels {
            for y in 0..<lines {
                let start = result.row(channel, y)
                for x in across.indices {
                    result.values[start + x] /= down[top + y] * across[x]
                }
            }
        }
        let kept = sums.crop(
            top: lines, left: 0, height: sums.height - lines, width: sums.width)
        sums = Planes(zeros: sums.channels, height: sums.height, width: sums.width)
        sums.paste(kept, top: 0, left: 0)
        top = row
        return result
    }
}

/// Runs a stage on overlapping tiles, and gives the average of its results from top to bottom.
///
/// - Parameters:
///   - source: of the size that the grid was laid for.
///   - grid: where the tiles lie, in cells.
///   - channels: of the result.
///   - reads: places of the source along a cell's side.
///   - writes: places of the result along a cell's side.
///   - run: maps a tile to its result.
///   - put: given the row of the first finished line, and the lines.
func blend(
    _ source: Planes, grid: Grid, channels: Int, reads: Int, writes: Int,
    run: (Planes) throws -> Planes, put: (_ row: Int, _ lines: Planes) throws -> Void
) rethrows {
    if grid.count == 1 {  // its own result, bit for bit
        return try put(0, run(source))
    }
    let side = grid.tile * reads
    var blender = Blender(channels: channels, grid: grid, writes: writes)
    for (index, row) in grid.rows.enumerated() {
        for column in grid.columns {
            let tile = source.crop(
                top: row * reads, left: column * reads, height: side, width: side)
            blender.add(try run(tile), left: column * writes)
        }
        let next = index + 1 < grid.rows.count ? grid.rows[index + 1] : row + grid.tile
        try put(row * writes, blender.take(until: next * writes))
    }
}
