/// The colours of an image in the details of its enlargement: `Wavelet` of `runtime/color.py`.
///
/// The low band is what five blurs leave, each twice as wide as the one before. Bands are sums and
/// differences of blurs, which are linear: the result plus the low band of what it lacks.
enum Wavelet {
    private static let levels = 5
    /// The cubic's parameter, as PyTorch has it.
    private static let sharpness = -0.75

    /// Returns the result with the low band of the image it was made from, rounded to bytes.
    ///
    /// One channel at a time is held in floats.
    ///
    /// - Parameters:
    ///   - result: the whole result; what was padded is cropped.
    ///   - source: the image `[3, h, w]`; the result's sides are whole multiples of its.
    static func recolored(_ result: Raster, source: Planes) -> Raster {
        var fixed = result
        for channel in 0..<3 {
            for (pixel, value) in plane(channel, of: result, source: source).enumerated() {
                fixed.pixels[pixel * 4 + channel] = Raster.byte(value)
            }
        }
        return fixed
    }

    /// Returns one channel, not clipped.
    static func plane(_ channel: Int, of result: Raster, source: Planes) -> [Float] {
        let (width, height) = (result.width, result.height)
        func pixel(_ index: Int) -> Float { Float(result.pixels[index * 4 + channel]) / 255 }
        var low = enlarged(channel, of: source, by: width / source.width)
        for index in low.indices { low[index] -= pixel(index) }
        for level in 0..<levels {
            low = blurred(low, lines: height, length: width, step: 1, apart: width, by: 1 << level)
            low = blurred(low, lines: width, length: height, step: width, apart: 1, by: 1 << level)
        }
        for index in low.indices { low[index] += pixel(index) }
        return low
    }

    /// Returns lines blurred with [1 2 1] / 4 of values `reach` apart; the ends are repeated.
    ///
    /// - Parameters:
    ///   - step: between two values of a line.
    ///   - apart: between the first values of two lines.
    private static func blurred(
        _ plane: [Float], lines: Int, length: Int, step: Int, apart: Int, by reach: Int
    ) -> [Float] {
        var result = plane
        for line in 0..<lines {
            let first = line * apart
            for index in 0..<length {
                let before = plane[first + max(index - reach, 0) * step]
                let after = plane[first + min(index + reach, length - 1) * step]
                let place = first + index * step
                result[place] = (before + 2 * plane[place] + after) / 4
            }
        }
        return result
    }

    /// Returns a channel so many times as wide and high, bicubically; its edges are repeated.
    private static func enlarged(_ channel: Int, of source: Planes, by scale: Int) -> [Float] {
        let (width, height) = (source.width, source.height)
        let (wide, tall) = (width * scale, height * scale)
        var rows = [Float](repeating: 0, count: height * wide)
        for x in 0..<wide {
            let line = taps(x, of: width, by: scale)
            for y in 0..<height {
                let start = source.row(channel, y)
                rows[y * wide + x] = line.reduce(0) { sum, tap in
                    sum + tap.weight * source.values[start + tap.place]
                }
            }
        }
        var result = [Float](repeating: 0, count: tall * wide)
        for y in 0..<tall {
            let column = taps(y, of: height, by: scale)
            for x in 0..<wide {
                result[y * wide + x] = column.reduce(0) { sum, tap in
                    sum + tap.weight * rows[tap.place * wide + x]
                }
            }
        }
        return result
    }

    /// Returns the four values that one of the result reads, and their weights.
    private static func taps(
        _ index: Int, of length: Int, by scale: Int
    ) -> [(place: Int, weight: Float)] {
        let position = (Double(index) + 0.5) / Double(scale) - 0.5
        let first = Int(position.rounded(.down)) - 1
        return (first..<first + 4).map { place in
            (min(max(place, 0), length - 1), Float(cubic(abs(position - Double(place)))))
        }
    }

    private static func cubic(_ distance: Double) -> Double {
        let (a, square) = (sharpness, distance * distance)
        if distance <= 1 {
            return (a + 2) * square * distance - (a + 3) * square + 1
        }
        return a * (square * distance - 5 * square + 8 * distance - 4)
    }
}
