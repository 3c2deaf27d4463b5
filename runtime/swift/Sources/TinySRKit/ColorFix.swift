/// What gives the result the colours of the image it came from.
public enum ColorFix: String, CaseIterable, Sendable {
    /// Match the mean and deviation of each channel, over the whole image.
    case adain
    /// Take the low band of the image, enlarged, in place of the result's: colours follow the image
    /// from place to place. It needs three floats a pixel beside the result, and more time.
    case wavelet
    /// Leave the model's colours as they are.
    case none
}

/// Mean and deviation of one channel.
struct Moments: Equatable, Sendable {
    /// Added to variances, so that a uniform image has a deviation.
    static let epsilon = 1e-5

    let mean: Double
    /// Square root of the unbiased variance plus `epsilon`.
    let deviation: Double

    init(_ values: ArraySlice<Float>) {
        let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
        let squares = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
        self.init(mean: mean, squares: squares, count: values.count)
    }

    /// - Parameter histogram: how often each byte occurs; 255 is 1.
    init(histogram: [Int]) {
        let count = histogram.reduce(0, +)
        let sum = histogram.enumerated().reduce(0.0) { $0 + Double($1.element * $1.offset) }
        let mean = sum / 255 / Double(count)
        let squares = histogram.enumerated().reduce(0.0) { total, entry in
            let away = Double(entry.offset) / 255 - mean
            return total + Double(entry.element) * away * away
        }
        self.init(mean: mean, squares: squares, count: count)
    }

    private init(mean: Double, squares: Double, count: Int) {
        self.mean = mean
        deviation = (squares / Double(max(count - 1, 1)) + Self.epsilon).squareRoot()
    }
}

extension ColorFix {
    /// Returns the result after what looks at more than a pixel's own value.
    func recolored(_ result: Raster, source: Planes) -> Raster {
        self == .wavelet ? Wavelet.recolored(result, source: source) : result
    }

    /// Returns the result's three channels with their new colours, not clipped nor rounded.
    func planes(of result: Raster, source: Planes) -> Planes {
        var color = Planes(zeros: 3, height: result.height, width: result.width)
        if self == .wavelet {
            color.values = (0..<3).flatMap { Wavelet.plane($0, of: result, source: source) }
            return color
        }
        let count = result.width * result.height
        for (channel, table) in tables(result: result, source: source).enumerated() {
            for pixel in 0..<count {
                color.values[channel * count + pixel] =
                    table[Int(result.pixels[pixel * 4 + channel])]
            }
        }
        return color
    }

    /// Returns what becomes of each byte of each colour channel, not clipped.
    ///
    /// The model gives bytes, so a fix that maps values is a table. `wavelet` looks at places and
    /// not at values: what `recolored` made of the result stays as it is.
    ///
    /// - Parameters:
    ///   - result: the whole result; what was padded is cropped.
    ///   - source: the image `[3, h, w]` it was made from, not enlarged.
    func tables(result: Raster, source: Planes) -> [[Float]] {
        let count = source.height * source.width
        return (0..<3).map { channel in
            let bytes = (0..<256).map { Float($0) / 255 }
            guard self == .adain else { return bytes }
            let values = source.values[channel * count..<(channel + 1) * count]
            let wanted = Moments(values)
            let found = Moments(histogram: result.histogram(channel))
            let scale = wanted.deviation / found.deviation
            let shift = Float(wanted.mean - found.mean * scale)
            return bytes.map { $0 * Float(scale) + shift }
        }
    }
}
