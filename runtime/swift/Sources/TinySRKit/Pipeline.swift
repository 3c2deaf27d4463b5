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
        var result = try run(color, plan, division, steps)
        let tables = colorFix.tables(result: result, source: color)
        switch opacity {
        case .constant(let alpha):
            recolor(&result, tables, alpha: alpha)
        case .varying(let plane):
            let source = Resampling.resize(plane, to: plan.scaled)
            let alpha = try run(source, plan, division, steps)
            recolor(&result, tables, alpha: Opacity.clamped(alpha, source: source))
        }
        guard plan.isResampled else { return result }
        return Raster(premultiplied: Resampling.resize(result.planes(0..<4), to: plan.output))
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
        let bytes = tables.map { table in
            table.map { Raster.byte(min(max($0, 0), 1) * alpha) }
        }
        let opacity = Raster.byte(alpha)
        for index in stride(from: 0, to: result.pixels.count, by: 4) {
            for channel in 0..<3 {
                result.pixels[index + channel] = bytes[channel][Int(result.pixels[index + channel])]
            }
            result.pixels[index + 3] = opacity
        }
    }

    /// Colours stay within their opacity: more than that can't be shown.
    private func recolor(_ result: inout Raster, _ tables: [[Float]], alpha: Planes) {
        for (pixel, opacity) in alpha.values.enumerated() {
            for channel in 0..<3 {
                let color = tables[channel][Int(result.pixels[pixel * 4 + channel])]
                result.pixels[pixel * 4 + channel] = Raster.byte(min(color, opacity))
            }
            result.pixels[pixel * 4 + 3] = Raster.byte(opacity)
        }
    }
}
