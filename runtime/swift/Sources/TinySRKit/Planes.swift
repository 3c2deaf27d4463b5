/// An image or latents as planes, `[channels, height, width]`. Images are RGB in about [0, 1].
struct Planes: Equatable, Sendable {
    let channels: Int
    let height: Int
    let width: Int
    /// Channel by channel, row by row.
    var values: [Float]

    init(channels: Int, height: Int, width: Int, values: [Float]) {
        precondition(values.count == channels * height * width, "planes have one value per pixel")
        self.channels = channels
        self.height = height
        self.width = width
        self.values = values
    }

    init(zeros channels: Int, height: Int, width: Int) {
        let values = [Float](repeating: 0, count: channels * height * width)
        self.init(channels: channels, height: height, width: width, values: values)
    }

    /// Whether no value is NaN or infinite.
    var isFinite: Bool { values.allSatisfy(\.isFinite) }

    /// The place in `values` of a row's first value.
    func row(_ channel: Int, _ y: Int) -> Int { (channel * height + y) * width }

    /// Returns the part that starts at `top` and `left`.
    func crop(top: Int, left: Int, height: Int, width: Int) -> Planes {
        var part: [Float] = []
        part.reserveCapacity(channels * height * width)
        for channel in 0..<channels {
            for y in top..<top + height {
                let start = row(channel, y) + left
                part.append(contentsOf: values[start..<start + width])
            }
        }
        return Planes(channels: channels, height: height, width: width, values: part)
    }

    /// Returns the part of some rows and columns.
    func crop(_ rows: Range<Int>, _ columns: Range<Int>) -> Planes {
        crop(
            top: rows.lowerBound, left: columns.lowerBound, height: rows.count,
            width: columns.count)
    }

    /// Puts planes with as many channels at `top` and `left`.
    mutating func paste(_ part: Planes, top: Int, left: Int) {
        for channel in 0..<channels {
            for y in 0..<part.height {
                let source = part.row(channel, y)
                let target = row(channel, top + y) + left
                values.replaceSubrange(
                    target..<target + part.width, with: part.values[source..<source + part.width])
            }
        }
    }

    /// Repeats the right and the bottom edge up to a size.
    func padded(height: Int, width: Int) -> Planes {
        if height == self.height && width == self.width { return self }
        var result: [Float] = []
        result.reserveCapacity(channels * height * width)
        for channel in 0..<channels {
            for y in 0..<height {
                let start = row(channel, min(y, self.height - 1))
                result.append(contentsOf: values[start..<start + self.width])
                let edge = values[start + self.width - 1]
                result.append(contentsOf: repeatElement(edge, count: width - self.width))
            }
        }
        return Planes(channels: channels, height: height, width: width, values: result)
    }

    /// One channel three times, or three channels as they are: what the model takes.
    var rgb: Planes {
        guard channels == 1 else { return self }
        return Planes(channels: 3, height: height, width: width, values: values + values + values)
    }
}
