import XCTest

@testable import TinySRKit

/// What can't be compared with Python: progress, cancellation and errors.
final class PipelineTests: XCTestCase {
    private let image = Raster(width: 40, height: 20)

    func testProgressCountsEveryRunOfTheModel() async throws {
        for (hasStages, total) in [(true, 2 * 6 + 6), (false, 6)] {
            let seen = Seen()
            let pipeline = Pipeline(
                network: try Toy(hasStages: hasStages), colorFix: .adain,
                progress: { done, total in seen.add(done, total) })
            _ = try pipeline.render(image)
            XCTAssertEqual(seen.all.map(\.0), Array(1...total))
            XCTAssertEqual(Set(seen.all.map(\.1)), [total])
        }
    }

    func testACancelledTaskStopsAfterTheRunItIsIn() async throws {
        let seen = Seen()
        let pipeline = Pipeline(
            network: try Toy(hasStages: true), colorFix: .adain,
            progress: { done, total in
                seen.add(done, total)
                withUnsafeCurrentTask { $0?.cancel() }
            })
        let image = image
        let task = Task { try pipeline.render(image) }
        let result = await task.result
        XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError) }
        XCTAssertEqual(seen.all.count, 1)
    }

    func testMetadataIsReadOrRefused() throws {
        let known = [
            "tile": "128", "overlap": "8", "halo_encoder": "38", "halo_decoder": "19",
            "scale": "4", "name": "tinysr-nano",
        ]
        let spec = try TileSpec(metadata: known)
        XCTAssertEqual(spec.latentTile, 64)
        XCTAssertEqual(spec.halo, 19)
        for (key, value) in [("tile", nil), ("tile", "126"), ("overlap", "64"), ("scale", "2")] {
            var damaged = known
            damaged[key] = value
            XCTAssertThrowsError(try TileSpec(metadata: damaged))
        }
    }

    func testATileThatIsAllSurroundingsIsRefused() throws {
        let spec = try TileSpec(tile: 64, overlap: 4, haloEncoder: 38, haloDecoder: 19)
        let large = Size(width: 128, height: 64)
        XCTAssertThrowsError(try Division(of: large, spec: spec, hasStages: true))
        let single = Size(width: 64, height: 64)
        XCTAssertEqual(try Division(of: single, spec: spec, hasStages: true), .single)
    }

    func testVelocityThatIsNotFiniteIsAnError() throws {
        let pipeline = Pipeline(network: try Broken(), colorFix: .none, progress: nil)
        XCTAssertThrowsError(try pipeline.render(image)) { error in
            XCTAssertEqual(error as? TinySRError, .notFinite(function: "transform"))
        }
    }

    func testEveryErrorSaysWhatWasExpected() {
        let error = TinySRError.imageTooLarge(megapixels: 80.04, limit: 64)
        XCTAssertEqual(
            error.errorDescription,
            "The result would have 80.0 megapixels: expected at most 64.0.")
        XCTAssertEqual(error.recoverySuggestion, "Raise maxMegapixels, or take a smaller image.")
    }
}

/// Progress may be told from any thread.
private final class Seen: @unchecked Sendable {
    private let lock = NSLock()
    private var steps: [(Int, Int)] = []

    var all: [(Int, Int)] { lock.withLock { steps } }

    func add(_ done: Int, _ total: Int) {
        lock.withLock { steps.append((done, total)) }
    }
}

private struct Broken: Network {
    let toy: Toy
    var spec: TileSpec { toy.spec }
    let hasStages = true

    init() throws { toy = try Toy(hasStages: true) }

    func upscale(_ tile: Planes) throws -> Raster { try toy.upscale(tile) }
    func encode(_ window: Planes) throws -> Planes { try toy.encode(window) }
    func decode(_ latents: Planes) throws -> Raster { try toy.decode(latents) }

    func transform(_ latents: Planes) throws -> Planes {
        var velocity = try toy.transform(latents)
        velocity.values[0] = .nan
        return velocity
    }
}
