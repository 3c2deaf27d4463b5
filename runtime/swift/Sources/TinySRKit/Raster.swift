/// Pixels as they lie in memory: RGBA, 8 bits each, rows without padding. The colour is multiplied
/// by the opacity.
struct Raster: Equatable, Sendable {
    let width: Int
    let height: Int
    var pixels: [UInt8]

    init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(pixels.count == width * height * 4, "a pixel has four bytes")
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// Makes an opaque black raster.
    init(width: Int, height: Int) {
        var pixels = [UInt8](repeating: 0, count: width * height * 4)
        for alpha in stride(from: 3, to: pixels.count, by: 4) { pixels[alpha] = 255 }
        self.init(width: width, height: height, pixels: pixels)
    }

    /// Rounds three planes to an opaque raster.
    init(_ planes: Planes) {
        self.init(width: planes.width, height: planes.height)
        let count = width * height
        for channel in 0..<3 {
            for index in 0..<count {
                pixels[index * 4 + channel] = Self.byte(planes.values[channel * count + index])
            }
        }
    }

    /// Rounds colours and their opacity. A colour stays within its opacity: more can't be shown.
    init(color: Planes, alpha: [Float]) {
        self.init(color)
        for (pixel, value) in alpha.enumerated() {
            let opacity = Self.byte(value)
            for channel in 0..<3 {
                pixels[pixel * 4 + channel] = min(pixels[pixel * 4 + channel], opacity)
            }
            pixels[pixel * 4 + 3] = opacity
        }
    }

    /// Returns a value in [0, 1] as a byte: clipped, and rounded to the nearest.
    static func byte(_ value: Float) -> UInt8 {
        UInt8(min(max(value * 255 + 0.5, 0), 255))
    }

    /// Returns some channels as planes in [0, 1].
    func planes(_ channels: Range<Int>) -> Planes {
        let count = width * height
        var values: [Float] = []
        values.reserveCapacity(channels.count * count)
        for channel in channels {
            for index in 0..<count {
                values.append(Float(pixels[index * 4 + channel]) / 255)
            }
        }
        return Planes(channels: channels.count, height: height, width: width, values: values)
    }

    /// Returns how often each byte occurs in a channel.
    func histogram(_ channel: Int) -> [Int] {
        var counts = [Int](repeating: 0, count: 256)
        for index in stride(from: channel, to: pixels.count, by: 4) {
            counts[Int(pixels[index])] += 1
        }
        return counts
    }

    /// Copies another raster, whose corner lies at `top` and `left` of this one. What lies outside
    /// is left out.
    mutating func paste(_ part: Raster, top: Int, left: Int) {
        let columns = min(part.width, width - left)
        guard columns > 0 else { return }
        for y in 0..<part.height where top + y < height {
            let source = y * part.width * 4
            let target = ((top + y) * width + left) * 4
            pixels.replaceSubrange(
                target..<target + columns * 4, with: part.pixels[source..<source + columns * 4])
        }
    }
}
