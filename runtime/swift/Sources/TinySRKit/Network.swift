/// The functions of a package, and how an image of any size runs through them.
protocol Network {
    var spec: TileSpec { get }
    /// Whether `encode`, `transform` and `decode` are there.
    var hasStages: Bool { get }
    /// Maps a tile `[3, t, t]` to its result, of `4t` pixels a side.
    func upscale(_ tile: Planes) throws -> Raster
    /// Maps a window `[3, t, t]` to latents `[C, t/2, t/2]`.
    func encode(_ window: Planes) throws -> Planes
    /// Maps latents `[C, t/2, t/2]` to their velocity, of the same shape.
    func transform(_ latents: Planes) throws -> Planes
    /// Maps latents `[C, t/2, t/2]` to their result, of `4t` pixels a side.
    func decode(_ latents: Planes) throws -> Raster
}

extension Network {
    /// Maps an image `[3, h, w]` to its result, cropped to a size.
    ///
    /// An image of a tile is one run of `upscale`. Of a larger one, `encode` and `decode` see
    /// windows with as much around them as their results depend on, and only the transformer's
    /// predictions are blended: no border is left. Without these functions, finished tiles are
    /// blended as pixels. That is not equal: near its borders, a tile lacks its surroundings.
    func run(
        _ image: Planes, division: Division, output: Size, steps: Steps
    ) throws -> Raster {
        var result = Raster(width: output.width, height: output.height)
        switch division {
        case .single:
            result.paste(try upscale(image), row: 0)
            try steps.advance()
        case .stages:
            var latents = try encoded(image, steps)
            try subtractVelocity(from: &latents, steps)
            try decode(latents, into: &result, steps)
        case .pixels:
            try blendPixels(image, into: &result, steps)
        }
        return result
    }

    private func encoded(_ image: Planes, _ steps: Steps) throws -> Planes {
        let stride = TileSpec.latentStride
        let (height, width) = (image.height / stride, image.width / stride)
        var latents = Planes(zeros: 0, height: height, width: width)
        for y in windowSpans(length: height, side: spec.latentTile, halo: spec.halo) {
            for x in windowSpans(length: width, side: spec.latentTile, halo: spec.halo) {
                let part = try encode(
                    image.crop(
                        top: y.start * stride, left: x.start * stride, height: spec.tile,
                        width: spec.tile))
                if latents.channels == 0 {  // the first window says how many there are
                    latents = Planes(zeros: part.channels, height: height, width: width)
                }
                latents.paste(part.crop(y.kept, x.kept), top: y.first, left: x.first)
                try steps.advance()
            }
        }
        return latents
    }

    private func subtractVelocity(from latents: inout Planes, _ steps: Steps) throws {
        let source = latents
        let tile = spec.latentTile
        try blend(
            channels: source.channels, height: source.height, width: source.width, tile: tile,
            overlap: spec.overlap,
            predict: { top, left in
                let velocity = try transform(
                    source.crop(top: top, left: left, height: tile, width: tile))
                guard velocity.isFinite else { throw TinySRError.notFinite(function: "transform") }
                try steps.advance()
                return velocity
            },
            emit: { row, lines in
                for channel in 0..<lines.channels {
                    let (target, start) = (latents.row(channel, row), lines.row(channel, 0))
                    for index in 0..<lines.height * lines.width {
                        latents.values[target + index] -= lines.values[start + index]
                    }
                }
            })
    }

    private func decode(_ latents: Planes, into result: inout Raster, _ steps: Steps) throws {
        let side = TileSpec.latentStride * TileSpec.scale
        let tile = spec.latentTile
        for y in windowSpans(length: latents.height, side: tile, halo: spec.halo) {
            for x in windowSpans(length: latents.width, side: tile, halo: spec.halo) {
                let window = latents.crop(top: y.start, left: x.start, height: tile, width: tile)
                result.paste(
                    try decode(window), top: y.start * side, left: x.start * side,
                    rows: y.kept.lowerBound * side..<y.kept.upperBound * side,
                    columns: x.kept.lowerBound * side..<x.kept.upperBound * side)
                try steps.advance()
            }
        }
    }

    private func blendPixels(_ image: Planes, into result: inout Raster, _ steps: Steps) throws {
        let scale = TileSpec.scale
        let tile = spec.tile
        try blend(
            channels: 3, height: image.height * scale, width: image.width * scale,
            tile: tile * scale, overlap: spec.pixelOverlap * scale,
            predict: { top, left in
                let part = image.crop(
                    top: top / scale, left: left / scale, height: tile, width: tile)
                let upscaled = try upscale(part).planes(0..<3)
                try steps.advance()
                return upscaled
            },
            emit: { row, lines in result.paste(Raster(lines), row: row) })
    }
}
