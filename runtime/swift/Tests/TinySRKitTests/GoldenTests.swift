import XCTest

@testable import TinySRKit

/// Swift computes what Python computed.
final class GoldenTests: XCTestCase {
    private var golden: Golden!

    override func setUpWithError() throws {
        golden = try Golden.load()
    }

    func testTilesStartWhereTheyDoInPython() {
        for known in golden.starts {
            let found = tileStarts(length: known.length, tile: known.tile, overlap: known.overlap)
            XCTAssertEqual(found, known.starts)
        }
    }

    func testWindowsLieWhereTheyDoInPython() {
        for known in golden.windows {
            let found = windowSpans(length: known.length, side: known.side, halo: known.halo)
            XCTAssertEqual(found.map(numbers), known.spans)
        }
    }

    func testChainsAreReadAsPythonWroteThem() throws {
        for known in golden.chains {
            let spec = try golden.spec(known.name)
            XCTAssertEqual(spec.chain.multiple, known.multiple)
            XCTAssertEqual(Set(spec.chain.functions), Set(known.functions.map(\.name)))
            for function in known.functions {
                let found = spec.sides(of: function.name)
                XCTAssertEqual([found.reads, found.gives], function.sides)
            }
        }
    }

    func testSizesArePlannedAsInPython() throws {
        for known in golden.plans {
            let found = SizePlan(
                width: known.size[0], height: known.size[1], spec: try golden.spec(known.chain))
            XCTAssertEqual([found.scaled.width, found.scaled.height], known.scaled)
            XCTAssertEqual([found.padded.width, found.padded.height], known.padded)
            XCTAssertEqual([found.output.width, found.output.height], known.output)
            XCTAssertEqual(found.isResampled, known.resampled)
            XCTAssertEqual(found.megapixels, known.megapixels, accuracy: 1e-9)
        }
    }

    func testImagesAreDividedAsInPython() throws {
        for known in golden.divisions {
            let size = Size(width: known.size[0], height: known.size[1])
            let found = try Division(of: size, spec: golden.spec(known.chain), hasStages: true)
            XCTAssertEqual(found.functions, known.parts.map(\.stage))
            for (part, expected) in zip(found.parts, known.parts) {
                switch part.layout {
                case .windows(let rows, let columns):
                    XCTAssertEqual(rows.map(numbers), expected.rows)
                    XCTAssertEqual(columns.map(numbers), expected.columns)
                case .tiles(let grid):
                    XCTAssertEqual(grid.rows.map { [$0] }, expected.rows)
                    XCTAssertEqual(grid.columns.map { [$0] }, expected.columns)
                }
            }
        }
    }

    func testWeightsOfATileAreThoseOfPython() {
        for known in golden.gaussians {
            let line = Blender.gaussian(known.tile)
            let found = line.flatMap { y in line.map { x in y * x } }
            assertClose(found, known.weights.values, relative: 1e-6)
        }
    }

    func testBlendedTilesAreThoseOfPython() {
        for known in golden.blends {
            let source = known.source.planes
            let blended = known.blended.planes
            let (reads, writes) = (known.reads, known.writes)
            var found = Planes(
                zeros: blended.channels, height: blended.height, width: blended.width)
            blend(
                source,
                grid: Grid(
                    height: known.size[1], width: known.size[0], tile: known.tile,
                    overlap: known.overlap),
                channels: source.channels, reads: reads, writes: writes,
                run: { tile in
                    let side = known.tile * writes
                    var result = Planes(zeros: tile.channels, height: side, width: side)
                    for index in result.values.indices {
                        let (place, channel) = (index % (side * side), index / (side * side))
                        let (y, x) = (place / side / writes, place % side / writes)
                        let value = tile.values[tile.row(channel, y * reads) + x * reads]
                        result.values[index] = value * known.ripple.values[place]
                    }
                    return result
                },
                put: { row, lines in found.paste(lines, top: row, left: 0) })
            assertClose(found.values, known.blended.values, absolute: 1e-6)
        }
    }

    func testResamplingIsThatOfPython() {
        for known in golden.resizes {
            let size = Size(width: known.size[0], height: known.size[1])
            let found = Resampling.resize(known.image.planes, to: size)
            XCTAssertEqual(known.resized.shape, [found.channels, found.height, found.width])
            assertClose(found.values, known.resized.values, absolute: 1e-6)
        }
    }

    func testAdainIsThatOfPython() {
        for known in golden.adains {
            let result = raster(known.result, known.fixed.shape)
            let tables = ColorFix.adain.tables(result: result, source: known.source.planes)
            let count = result.width * result.height
            let found = known.fixed.values.indices.map { index in
                tables[index / count][Int(result.pixels[index % count * 4 + index / count])]
            }
            assertClose(found, known.fixed.values, absolute: 2e-6)
        }
    }

    func testWaveletIsThatOfPython() {
        for known in golden.wavelets {
            let result = raster(known.result, known.fixed.shape)
            let source = known.source.planes
            let found = (0..<3).flatMap { Wavelet.plane($0, of: result, source: source) }
            assertClose(found, known.fixed.values, absolute: 2e-6)
        }
    }

    func testOpacityIsClampedAsInPython() {
        for known in golden.opacities {
            let result = raster(known.result, known.clamped.shape)
            let found = Opacity.clamped(result, source: known.source.planes)
            assertClose(found.values, known.clamped.values, absolute: 1e-6)
        }
    }

    /// A value that lies between two bytes may fall to either side: that is one level.
    func testWholeImagesAreThoseOfPython() throws {
        for known in golden.renders {
            let spec = try golden.spec(known.network)
            let pipeline = Pipeline(
                network: Toy(spec: spec, hasStages: known.stages),
                colorFix: try XCTUnwrap(ColorFix(rawValue: known.color)), progress: nil)
            let image = Raster(
                width: known.width, height: known.height, pixels: [UInt8](known.pixels))
            let found = try pipeline.render(image)
            XCTAssertEqual(found.width, known.width * spec.chain.scale, known.name)
            XCTAssertEqual(found.height, known.height * spec.chain.scale, known.name)
            let away = zip(found.pixels, known.upscaled).map { abs(Int($0) - Int($1)) }
            XCTAssertEqual(away.count, known.upscaled.count, known.name)
            XCTAssertLessThanOrEqual(away.max() ?? 0, 1, known.name)
            let off = Double(away.filter { $0 > 0 }.count) / Double(away.count)
            XCTAssertLessThan(off, 0.01, known.name)
        }
    }

    private func numbers(_ span: Span) -> [Int] {
        [span.start, span.stop, span.first, span.last]
    }

    private func raster(_ data: Data, _ shape: [Int]) -> Raster {
        Raster(width: shape[2], height: shape[1], pixels: [UInt8](data))
    }

    private func assertClose(
        _ found: [Float], _ known: [Float], absolute: Float = 0, relative: Float = 0,
        line: UInt = #line
    ) {
        XCTAssertEqual(found.count, known.count, line: line)
        for (a, b) in zip(found, known) where abs(a - b) > absolute + relative * abs(b) {
            return XCTFail("found \(a), expected \(b)", line: line)
        }
    }
}
