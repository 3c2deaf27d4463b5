@testable import TinySRKit

/// The toy networks of `tests/support/golden_network.py`: every channel of their cells is one pixel
/// of four.
struct Toy: Network {
    let spec: ChainSpec
    let hasStages: Bool

    func run(_ function: String, _ input: Planes) throws -> Planes {
        if function == Chain.whole && spec.chain.names != [Chain.whole] {
            return try spec.chain.names.reduce(input) { try run($1, $0) }
        }
        let side = spec.sides(of: function).reads
        precondition(input.width == side && input.height == side, "a function takes one size")
        switch function {
        case "encoder", "reader": return read(input)
        case "transformer": return restored(input)
        case "decoder": return painted(cross(input), by: 4)
        case "painter": return painted(restored(input), by: 2)
        case Chain.whole: return painted(read(input), by: 1)
        default: throw TinySRError.modelUnfit(expected: "a stage of a toy", found: function)
        }
    }

    private func read(_ image: Planes) -> Planes {
        var cells = Planes(zeros: 12, height: image.height / 2, width: image.width / 2)
        for channel in 0..<12 {
            for y in 0..<cells.height {
                for x in 0..<cells.width {
                    let row = image.row(channel / 4, 2 * y + channel % 4 / 2)
                    let value = image.values[row + 2 * x + channel % 2]
                    cells.values[cells.row(channel, y) + x] = value
                }
            }
        }
        return cross(cells)
    }

    private func restored(_ latents: Planes) -> Planes {
        var result = latents
        for channel in 0..<latents.channels {
            for y in 0..<latents.height {
                for x in 0..<latents.width {
                    let index = latents.row(channel, y) + x
                    let ramp = Float(x - y) / Float(latents.width)
                    result.values[index] -= 0.02 * latents.values[index] + 0.01 * ramp
                }
            }
        }
        return result
    }

    /// Gives bytes, as Core ML does.
    private func painted(_ cells: Planes, by scale: Int) -> Planes {
        let side = 2 * scale
        var image = Planes(zeros: 3, height: cells.height * side, width: cells.width * side)
        for channel in 0..<3 {
            for y in 0..<image.height {
                for x in 0..<image.width {
                    let from = channel * 4 + y % side / scale * 2 + x % side / scale
                    let value = cells.values[cells.row(from, y / side) + x / side]
                    image.values[image.row(channel, y) + x] = value
                }
            }
        }
        return Raster(image).planes(0..<3)
    }

    private func cross(_ planes: Planes) -> Planes {
        var result = planes
        for channel in 0..<planes.channels {
            for y in 0..<planes.height {
                for x in 0..<planes.width {
                    func at(_ y: Int, _ x: Int) -> Float {
                        let inside = y >= 0 && y < planes.height && x >= 0 && x < planes.width
                        return inside ? planes.values[planes.row(channel, y) + x] : 0
                    }
                    let sides = at(y - 1, x) + at(y + 1, x) + at(y, x - 1) + at(y, x + 1)
                    result.values[planes.row(channel, y) + x] = 0.8 * at(y, x) + 0.05 * sides
                }
            }
        }
        return result
    }
}
