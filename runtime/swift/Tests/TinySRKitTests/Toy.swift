@testable import TinySRKit

/// The toy network of `tests/support/golden_network.py`: every channel of its latents is one pixel of four.
struct Toy: Network {
    let spec: TileSpec
    let hasStages: Bool

    init(hasStages: Bool) throws {
        spec = try TileSpec(tile: 16, overlap: 2, haloEncoder: 2, haloDecoder: 1)
        self.hasStages = hasStages
    }

    func upscale(_ tile: Planes) throws -> Raster {
        var latents = try encode(tile)
        let velocity = try transform(latents)
        for index in latents.values.indices { latents.values[index] -= velocity.values[index] }
        return try decode(latents)
    }

    func encode(_ window: Planes) throws -> Planes {
        var latents = Planes(zeros: 12, height: window.height / 2, width: window.width / 2)
        for channel in 0..<12 {
            for y in 0..<latents.height {
                for x in 0..<latents.width {
                    let row = window.row(channel / 4, 2 * y + channel % 4 / 2)
                    let value = window.values[row + 2 * x + channel % 2]
                    latents.values[latents.row(channel, y) + x] = value
                }
            }
        }
        return cross(latents)
    }

    func transform(_ latents: Planes) throws -> Planes {
        var velocity = latents
        for channel in 0..<latents.channels {
            for y in 0..<latents.height {
                for x in 0..<latents.width {
                    let index = latents.row(channel, y) + x
                    let ramp = Float(x - y) / Float(latents.width)
                    velocity.values[index] = 0.02 * latents.values[index] + 0.01 * ramp
                }
            }
        }
        return velocity
    }

    func decode(_ latents: Planes) throws -> Raster {
        let filtered = cross(latents)
        var image = Planes(zeros: 3, height: latents.height * 8, width: latents.width * 8)
        for channel in 0..<3 {
            for y in 0..<image.height {
                for x in 0..<image.width {
                    let from = channel * 4 + y % 8 / 4 * 2 + x % 8 / 4
                    let value = filtered.values[filtered.row(from, y / 8) + x / 8]
                    image.values[image.row(channel, y) + x] = value
                }
            }
        }
        return Raster(image)
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
