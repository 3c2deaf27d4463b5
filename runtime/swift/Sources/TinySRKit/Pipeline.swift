/// From pixels to four times the pixels: everything but the model and the image's own format.
struct Pipeline<Model: Network> {
    let network: Model
    let colorFix: ColorFix
    let progress: Progress?

    /// Returns an image with four times the width and height.
    ///
    /// - Throws: `CancellationError`, and what the network throws.
    func render(_ image: Raster) throws -> Raster {
        let plan = SizePlan(width: image.width, height: image.height, tile: network.spec.tile)
        let division = try Division(
            of: plan.padded, spec: network.spec, hasStages: network.hasStages)
        let opacity = Opacity(of: image)
        let steps = Steps(total: opacity.images * division.runs, progress: progress)
        let color = Resampling.resize(opacity.color(of: image), to: plan.scaled)
        var result = try colorFix.recolored(
            run(color, plan, division, steps), source: color.rgb)
        let tables = colorFix.tables(result: result, source: color)
        switch opacity {
        case .constant(let alpha):
            if plan.isResampled {
                return resampled(recolored(result, tables), alpha: alpha, to: plan.output)
            }
            recolor(&result, tables, alpha: alpha)
        case .varying(let plane):
            let source = Resampling.resize(plane, to: plan.scaled)
            let made = try run(source, plan, division, steps)
            let alpha = Opacity.clamped(made, source: source)
            if plan.isResampled {
                return resampled(recolored(result, tables), alpha: alpha, to: plan.output)
            }
            recolor(&result, tables, alpha: alpha)
        }
        return result
    }

    private func run(
        _ image: Planes, _ plan: SizePlan, _ division: Division, _ steps: Steps
    ) throws -> Raster {
        try network.run(
            image.rgb.padded(height: plan.padded.height, width: plan.padded.width),
            division: division,
            output: Size(
                width: image.width * TileSpec.scale, height: image.height * TileSpec.scale),
            steps: steps)
    }

    private func recolor(_ result: inout Raster, _ tables: [[Float]], alpha: Float) {
        let bytes = tables.map { table in table.map { Raster.byte(min(max($0, 0), 1) * alpha) } }
        let opacity = Raster.byte(alpha)
        for index in stride(from: 0, to: result.pixels.count, by: 4) {
            for channel in 0..<3 {
                result.pixels[index + channel] = bytes[channel][Int(result.pixels[index + channel])]
            }
            result.pixels[index + 3] = opacity
        }
    }

    /// A colour stays within its opacity: more can't be shown.
    private func recolor(_ result: inout Raster, _ tables: [[Float]], alpha: Planes) {
        for (pixel, opacity) in alpha.values.enumerated() {
            for channel in 0..<3 {
                let color = tables[channel][Int(result.pixels[pixel * 4 + channel])]
                result.pixels[pixel * 4 + channel] = Raster.byte(min(color, opacity))
            }
            result.pixels[pixel * 4 + 3] = Raster.byte(opacity)
        }
    }

    /// Only small images are resampled: they may be floats for that.
    private func recolored(_ result: Raster, _ tables: [[Float]]) -> Planes {
        let count = result.width * result.height
        var color = Planes(zeros: 3, height: result.height, width: result.width)
        for channel in 0..<3 {
            for pixel in 0..<count {
                let byte = Int(result.pixels[pixel * 4 + channel])
                color.values[channel * count + pixel] = tables[channel][byte]
            }
        }
        return color
    }

    private func resampled(_ color: Planes, alpha: Float, to size: Size) -> Raster {
        var color = Resampling.resize(color, to: size)
        color.values = color.values.map { $0 * alpha }
        let opacity = [Float](repeating: alpha, count: size.width * size.height)
        return Raster(color: color, alpha: opacity)
    }

    private func resampled(_ color: Planes, alpha: Planes, to size: Size) -> Raster {
        Raster(
            color: Resampling.resize(color, to: size),
            alpha: Resampling.resize(alpha, to: size).values)
    }
}
