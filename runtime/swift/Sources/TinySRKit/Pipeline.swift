/// From pixels to more pixels: everything but the model and the image's own format.
struct Pipeline<Model: Network> {
    let network: Model
    let colorFix: ColorFix
    let progress: Progress?

    /// Returns an image whose sides are the scale times as long.
    ///
    /// - Throws: `CancellationError`, and what the network throws.
    func render(_ image: Raster) throws -> Raster {
        let plan = SizePlan(width: image.width, height: image.height, spec: network.spec)
        let division = try Division(
            of: plan.padded, spec: network.spec, hasStages: network.hasStages)
        let opacity = Opacity(of: image)
        let steps = Steps(total: opacity.images * division.runs, progress: progress)
        let source = Resampling.resize(opacity.color(of: image), to: plan.scaled)
        var result = try run(source, plan, division, steps)
        if plan.isResampled {  // only small images are: they may be floats for that
            let color = colorFix.planes(of: result, source: source)
            let alpha = try enlarged(opacity, plan, division, steps)
            return resampled(color, alpha, to: plan.output)
        }
        result = colorFix.recolored(result, source: source)
        let tables = colorFix.tables(result: result, source: source)
        switch try enlarged(opacity, plan, division, steps) {
        case .constant(let alpha): recolor(&result, tables, alpha: alpha)
        case .varying(let alpha): recolor(&result, tables, alpha: alpha)
        }
        return result
    }

    private func run(
        _ image: Planes, _ plan: SizePlan, _ division: Division, _ steps: Steps
    ) throws -> Raster {
        try network.run(
            image.rgb.padded(height: plan.padded.height, width: plan.padded.width),
            division: division, output: plan.made, steps: steps)
    }

    /// Returns the opacity of what the model makes; one that varies goes through it.
    private func enlarged(
        _ opacity: Opacity, _ plan: SizePlan, _ division: Division, _ steps: Steps
    ) throws -> Opacity {
        guard case .varying(let plane) = opacity else { return opacity }
        let source = Resampling.resize(plane, to: plan.scaled)
        let made = try run(source, plan, division, steps)
        return .varying(Opacity.clamped(made, source: source))
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

    private func resampled(_ color: Planes, _ opacity: Opacity, to size: Size) -> Raster {
        var color = Resampling.resize(color, to: size)
        switch opacity {
        case .constant(let alpha):
            color.values = color.values.map { $0 * alpha }
            let plane = [Float](repeating: alpha, count: size.width * size.height)
            return Raster(color: color, alpha: plane)
        case .varying(let alpha):
            return Raster(color: color, alpha: Resampling.resize(alpha, to: size).values)
        }
    }
}
