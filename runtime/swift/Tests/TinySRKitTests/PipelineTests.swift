import XCTest

@testable import TinySRKit

/// What can't be compared with Python: progress, cancellation and errors.
final class PipelineTests: XCTestCase {
    private let image = Raster(width: 40, height: 20)

    private func toy(hasStages: Bool) throws -> Toy {
        Toy(spec: try Golden.load().spec("tiny"), hasStages: hasStages)
    }

    func testProgressCountsEveryRunOfTheModel() async throws {
        for (hasStages, total) in [(true, 2 * 6 + 6), (false, 6)] {
            let seen = Seen()
            let pipeline = Pipeline(
                network: try toy(hasStages: hasStages), colorFix: .adain,
                progress: { done, total in seen.add(done, total) })
            _ = try pipeline.render(image)
            XCTAssertEqual(seen.all.map(\.0), Array(1...total))
            XCTAssertEqual(Set(seen.all.map(\.1)), [total])
        }
    }

    func testACancelledTaskStopsAfterTheRunItIsIn() async throws {
        let seen = Seen()
        let pipeline = Pipeline(
            network: try toy(hasStages: true), colorFix: .adain,
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

    func testANetworkThatIsNotFiniteIsAnError() throws {
        let pipeline = Pipeline(
            network: Broken(toy: try toy(hasStages: true)), colorFix: .none, progress: nil)
        XCTAssertThrowsError(try pipeline.render(image)) { error in
            XCTAssertEqual(error as? TinySRError, .notFinite(function: "transformer"))
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
    var spec: ChainSpec { toy.spec }
    let hasStages = true

    func run(_ function: String, _ input: Planes) throws -> Planes {
        var result = try toy.run(function, input)
        if function == "transformer" { result.values[0] = .nan }
        return result
    }
}
