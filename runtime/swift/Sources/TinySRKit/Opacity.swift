/// The opacity of an image: what goes through the model, and how the result gets it back.
///
/// Colour goes through the model multiplied by the opacity, and an opacity that varies goes through
/// by itself: so both have the same edges, and what is invisible can't leave a fringe.
enum Opacity: Equatable, Sendable {
    /// One value everywhere, in [0, 1].
    case constant(Float)
    /// `[1, height, width]`.
    case varying(Planes)

    init(of image: Raster) {
        let alpha = image.planes(3..<4)
        let first = alpha.values[0]
        self = alpha.values.allSatisfy { $0 == first } ? .constant(first) : .varying(alpha)
    }

    /// How many images go through the model.
    var images: Int {
        switch self {
        case .constant: 1
        case .varying: 2
        }
    }

    /// Returns the colour that goes through the model, `[3, height, width]`.
    func color(of image: Raster) -> Planes {
        var color = image.planes(0..<3)
        if case .constant(let alpha) = self, alpha > 0, alpha < 1 {
            color.values = color.values.map { min($0 / alpha, 1) }
        }
        return color
    }

    /// Returns the mean of the model's channels, between the least and the largest of the source
    /// pixels around it.
    ///
    /// An opacity that the model made wavers where the source's is constant: this makes it exact
    /// there, and leaves edges as sharp as they are.
    ///
    /// - Parameters:
    ///   - result: what the model made of the opacity.
    ///   - source: the opacity `[1, h, w]` it was made from.
    static func clamped(_ result: Raster, source: Planes) -> Planes {
        let low = around(source, min)
        let high = around(source, max)
        let scale = result.width / source.width
        var alpha = Planes(zeros: 1, height: result.height, width: result.width)
        for y in 0..<result.height {
            for x in 0..<result.width {
                let index = y * result.width + x
                let near = source.row(0, y / scale) + x / scale
                let sum = (0..<3).reduce(0) { $0 + Int(result.pixels[index * 4 + $1]) }
                let mean = Float(sum) / (3 * 255)
                alpha.values[index] = min(max(mean, low.values[near]), high.values[near])
            }
        }
        return alpha
    }

    /// Returns the least or largest value of each pixel's 3×3 neighbourhood.
    private static func around(_ plane: Planes, _ pick: (Float, Float) -> Float) -> Planes {
        var result = plane
        for y in 0..<plane.height {
            for x in 0..<plane.width {
                var value = plane.values[plane.row(0, y) + x]
                for near in max(y - 1, 0)...min(y + 1, plane.height - 1) {
                    for beside in max(x - 1, 0)...min(x + 1, plane.width - 1) {
                        value = pick(value, plane.values[plane.row(0, near) + beside])
                    }
                }
                result.values[plane.row(0, y) + x] = value
            }
        }
        return result
    }
}
