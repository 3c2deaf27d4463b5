/// Bicubic resampling as Pillow does it: the filter grows with the step when an image shrinks.
enum Resampling {
    private static let coefficient = -0.5
    private static let support = 2.0

    /// Returns planes at another size, clipped to [0, 1].
    static func resize(_ image: Planes, to size: Size) -> Planes {
        if size == Size(width: image.width, height: image.height) { return image }
        let wide = acrossRows(image, width: size.width)
        var result = acrossColumns(wide, height: size.height)
        for index in result.values.indices {
            result.values[index] = min(max(result.values[index], 0), 1)
        }
        return result
    }

    /// The pixels that one pixel of the result is made of.
    private struct Taps {
        let first: Int
        let weights: [Double]
    }

    private static func taps(from length: Int, to count: Int) -> [Taps] {
        let step = Double(length) / Double(count)
        let spread = max(step, 1)
        return (0..<count).map { index in
            let centre = (Double(index) + 0.5) * step
            let first = max(0, Int(centre - support * spread + 0.5))
            let last = min(length, Int(centre + support * spread + 0.5))
            let weights = (first..<last).map { cubic((Double($0) + 0.5 - centre) / spread) }
            let sum = weights.reduce(0, +)
            return Taps(first: first, weights: weights.map { $0 / sum })
        }
    }

    private static func cubic(_ position: Double) -> Double {
        let x = abs(position)
        let a = coefficient
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        return x < support ? (((x - 5) * x + 8) * x - 4) * a : 0
    }

    private static func acrossRows(_ image: Planes, width: Int) -> Planes {
        if width == image.width { return image }
        let taps = taps(from: image.width, to: width)
        var result = Planes(zeros: image.channels, height: image.height, width: width)
        for row in 0..<image.channels * image.height {
            for (x, tap) in taps.enumerated() {
                var sum = 0.0
                for (index, weight) in tap.weights.enumerated() {
                    sum += weight * Double(image.values[row * image.width + tap.first + index])
                }
                result.values[row * width + x] = Float(sum)
            }
        }
        return result
    }

    private static func acrossColumns(_ image: Planes, height: Int) -> Planes {
        if height == image.height { return image }
        let taps = taps(from: image.height, to: height)
        var result = Planes(zeros: image.channels, height: height, width: image.width)
        for channel in 0..<image.channels {
            for (y, tap) in taps.enumerated() {
                for x in 0..<image.width {
                    var sum = 0.0
                    for (index, weight) in tap.weights.enumerated() {
                        let source = image.row(channel, tap.first + index) + x
                        sum += weight * Double(image.values[source])
                    }
                    result.values[result.row(channel, y) + x] = Float(sum)
                }
            }
        }
        return result
    }
}
