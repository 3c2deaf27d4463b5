/// Width and height, in pixels.
struct Size: Equatable, Sendable {
    let width: Int
    let height: Int
}

/// What is done to an image's size, from any image to one the model takes and back to exactly
/// four times the image.
struct SizePlan: Equatable, Sendable {
    /// Up to here a small image is enlarged to a tile; a longer strip would become gigantic.
    static let longestAspect = 16
    /// Sides are padded to it: latents are even, so tiles start on token borders.
    static let multiple = 4

    /// The image as it came.
    let size: Size
    /// After enlarging an image that is smaller than a tile; otherwise `size`.
    let scaled: Size
    /// After repeating the right and bottom edge: what the model sees.
    let padded: Size
    /// The result.
    let output: Size

    init(width: Int, height: Int, tile: Int) {
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
            (max(side, tile) + Self.multiple - 1) / Self.multiple * Self.multiple
        }
        self.padded = Size(width: padded(scaled.width), height: padded(scaled.height))
        output = Size(width: width * TileSpec.scale, height: height * TileSpec.scale)
    }

    /// Whether the model's result has another size than the output.
    var isResampled: Bool { scaled != size }

    /// Size of the largest image on the way, in 10⁶ pixels.
    var megapixels: Double {
        let made = padded.width * padded.height * TileSpec.scale * TileSpec.scale
        return Double(max(made, output.width * output.height)) / 1e6
    }
}
