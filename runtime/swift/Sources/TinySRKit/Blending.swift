import Foundation

/// Averages overlapping tiles, each counted by a Gaussian around its centre.
///
/// It holds one row of tiles: tiles are added from left to right, and the lines that no later tile
/// touches are taken before the next row begins. Sums are fp32, because the weights of a tile's
/// corner underflow in fp16.
struct Blender {
    /// Of the Gaussian, in units of the tile's side squared.
    static let variance = 0.01

    private let tile: Int
    private let weight: [Float]
    private var sums: Planes
    private var weights: [Float]
    private var top = 0

    /// - Parameter width: of the whole image, at least `tile`.
    init(channels: Int, width: Int, tile: Int) {
        self.tile = tile
        weight = Self.gaussian(tile)
        sums = Planes(zeros: channels, height: tile, width: width)
        weights = [Float](repeating: 0, count: tile * width)
    }

    /// Returns the weights of a tile, row by row, largest in the middle.
    static func gaussian(_ tile: Int) -> [Float] {
        let height = 1 / (2 * Double.pi * variance).squareRoot()
        let line = (0..<tile).map { index in
            let offset = (Double(index) - Double(tile - 1) / 2) / Double(tile)
            return height * exp(-(offset * offset) / (2 * variance))
        }
        return line.flatMap { y in line.map { x in Float(y * x) } }
    }

    /// Adds a prediction `[channels, tile, tile]` of the current row of tiles.
    mutating func add(_ prediction: Planes, left: Int) {
        for y in 0..<tile {
            for channel in 0..<sums.channels {
                let source = prediction.row(channel, y)
                let target = sums.row(channel, y) + left
                for x in 0..<tile {
                    sums.values[target + x] += prediction.values[source + x] * weight[y * tile + x]
                }
            }
            for x in 0..<tile {
                weights[y * sums.width + left + x] += weight[y * tile + x]
            }
        }
    }

    /// Returns the finished lines up to `row` of the image, where the next row of tiles begins.
    mutating func take(until row: Int) -> Planes {
        let lines = row - top
        var result = sums.crop(top: 0, left: 0, height: lines, width: sums.width)
        for channel in 0..<sums.channels {
            let start = result.row(channel, 0)
            for index in 0..<lines * sums.width {
                result.values[start + index] /= weights[index]
            }
        }
        drop(lines)
        top = row
        return result
    }

    private mutating func drop(_ lines: Int) {
        let kept = sums.crop(top: lines, left: 0, height: tile - lines, width: sums.width)
        sums = Planes(zeros: sums.channels, height: tile, width: sums.width)
        sums.paste(kept, top: 0, left: 0)
        let rest = weights[(lines * sums.width)...]
        weights = Array(rest) + [Float](repeating: 0, count: lines * sums.width)
    }
}

/// Predicts an image tile by tile, and gives its lines from top to bottom.
///
/// - Parameters:
///   - predict: given the top and left of a tile.
///   - emit: given the row of the first line, and the lines.
func blend(
    channels: Int, height: Int, width: Int, tile: Int, overlap: Int,
    predict: (_ top: Int, _ left: Int) throws -> Planes,
    emit: (_ row: Int, _ lines: Planes) throws -> Void
) rethrows {
    let tops = tileStarts(length: height, tile: tile, overlap: overlap)
    let lefts = tileStarts(length: width, tile: tile, overlap: overlap)
    if tops.count == 1 && lefts.count == 1 {  // its own prediction, bit for bit
        return try emit(0, predict(0, 0))
    }
    var blender = Blender(channels: channels, width: width, tile: tile)
    for (index, top) in tops.enumerated() {
        for left in lefts {
            blender.add(try predict(top, left), left: left)
        }
        let next = index + 1 < tops.count ? tops[index + 1] : height
        try emit(top, blender.take(until: next))
    }
}
