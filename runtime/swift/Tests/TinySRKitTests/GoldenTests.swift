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
            XCTAssertEqual(found.map { [$0.start, $0.stop, $0.first, $0.last] }, known.spans)
        }
    }

    func testSizesArePlannedAsInPython() {
        for known in golden.plans {
            let found = SizePlan(width: known.size[0], height: known.size[1], tile: known.tile)
            XCTAssertEqual([found.scaled.width, found.scaled.height], known.scaled)
            XCTAssertEqual([found.padded.width, found.padded.height], known.padded)
            XCTAssertEqual([found.output.width, found.output.height], known.output)
            XCTAssertEqual(found.isResampled, known.resampled)
            XCTAssertEqual(found.megapixels, known.megapixels, accuracy: 1e-9)
        }
    }

    func testWeightsOfATileAreThoseOfPython() {
        for known in golden.gaussians {
            assertClose(Blender.gaussian(known.tile), known.weights.values, relative: 1e-6)
        }
    }

    func testBlendedTilesAreThoseOfPython() {
        for known in golden.blends {
            let latents = known.latents.planes
            let tile = known.tile
            var found = Planes(
                zeros: latents.channels, height: latents.height, width: latents.width)
            blend(
                channels: latents.channels, height: latents.height, width: latents.width,
                tile: tile, overlap: known.overlap,
                predict: { top, left in
                    var part = latents.crop(top: top, left: left, height: tile, width: tile)
                    for index in part.values.indices {
                        part.values[index] *= known.ripple.values[index % (tile * tile)]
                    }
                    return part
                },
                emit: { row, lines in found.paste(lines, top: row, left: 0) })
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
            let pipeline = Pipeline(
                network: try Toy(hasStages: known.stages),
                colorFix: try XCTUnwrap(ColorFix(rawValue: known.color)), progress: nil)
            let image = Raster(
                width: known.width, height: known.height, pixels: [UInt8](known.pixels))
            let found = try pipeline.render(image)
            XCTAssertEqual(found.width, known.width * 4, known.name)
            XCTAssertEqual(found.height, known.height * 4, known.name)
            let away = zip(found.pixels, known.upscaled).map { abs(Int($0) - Int($1)) }
            XCTAssertEqual(away.count, known.upscaled.count, known.name)
            XCTAssertLessThanOrEqual(away.max() ?? 0, 1, known.name)
            let off = Double(away.filter { $0 > 0 }.count) / Double(away.count)
            XCTAssertLessThan(off, 0.01, known.name)
        }
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
