/// Width and height, in pixels.
struct Size: Equatable, Sendable {
    let width: Int
    let height: Int
}

/// What is done to an image's size, from any image to one the model takes and back to exactly the
/// image's times the scale.
struct SizePlan: Equatable, Sendable {
    /// Up to here a small image is enlarged to a tile; a longer strip would become gigantic.
    static let longestAspect = 16

    /// The image as it came.
    let size: Size
    /// After enlarging an image that is smaller than a tile; otherwise `size`.
    let scaled: Size
    /// After repeating the right and bottom edge: what the model sees.
    let padded: Size
    /// The result.
    let output: Size
    /// Sides of what the model makes over those of what it sees.
    let scale: Int

    init(width: Int, height: Int, spec: ChainSpec) {
        let (tile, multiple) = (spec.least, spec.chain.multiple)
        let short = min(width, height)
        size = Size(width: width, height: height)
        if short < tile && max(width, height) <= Self.longestAspect * short {
            func enlarged(_ side: Int) -> Int {
                max(tile, (side * tile * 2 + short) / (short * 2))  // rounded to the nearest
            }
            scaled = Size(width: enlarged(width), height: enlarged(height))
        } else {
            scaled = size
        }
        func padded(_ side: Int) -> Int {
            (max(side, tile) + multiple - 1) / multiple * multiple
        }
        scale = spec.chain.scale
        self.padded = Size(width: padded(scaled.width), height: padded(scaled.height))
        output = Size(width: width * scale, height: height * scale)
    }

    /// What the model makes of the image without its padding.
    var made: Size { Size(width: scaled.width * scale, height: scaled.height * scale) }

    /// Whether the model's result has another size than the output.
    var isResampled: Bool { scaled != size }

    /// Size of the largest image on the way, in 10⁶ pixels.
    var megapixels: Double {
        let largest = padded.width * padded.height * scale * scale
        return Double(max(largest, output.width * output.height)) / 1e6
    }
}
