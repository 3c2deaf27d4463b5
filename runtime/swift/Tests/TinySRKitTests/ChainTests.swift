import XCTest

@testable import TinySRKit

/// Chains are read from a package's metadata or refused, and say how images are divided.
final class ChainTests: XCTestCase {
    private var golden: Golden!

    override func setUpWithError() throws {
        golden = try Golden.load()
    }

    private func metadata(_ name: String) throws -> [String: String] {
        let known = try XCTUnwrap(golden.chains.first { $0.name == name })
        return ["chain": known.json, "tile": "\(known.tile)", "scale": "4", "precision": "fp16"]
    }

    private func refusal(_ metadata: [String: String]) -> String {
        do {
            let spec = try ChainSpec(metadata: metadata)
            return "read: \(spec.chain.names)"
        } catch {
            return error.localizedDescription
        }
    }

    func testAChainIsReadFromTheMetadata() throws {
        let spec = try ChainSpec(metadata: metadata("tinysr"))
        XCTAssertEqual(spec.chain.names, ["encoder", "transformer", "decoder"])
        XCTAssertEqual(
            spec.chain.functions, ["upscale", "encoder", "transformer", "decoder"])
        XCTAssertEqual(
            spec.chain.stages.map(\.division),
            [.windows(halo: 20), .tiles(side: 64, overlap: 8), .windows(halo: 19)])
        XCTAssertEqual(spec.chain.ends("transformer").gives.name, "restored")
        XCTAssertEqual(spec.chain.ends("upscale").gives.name, "upscaled")
        XCTAssertEqual([spec.least, spec.chain.multiple, spec.chain.scale], [128, 4, 4])
    }

    func testMetadataThatLackSomethingAreRefused() throws {
        let known = try metadata("tinysr")
        for (key, value, expected, found) in [
            ("chain", nil, "chain in the metadata", "none"),
            ("tile", nil, "tile in the metadata", "none"),
            ("tile", "a", "a whole number as tile in the metadata", "a"),
            ("tile", "126", "a tile that divides into the cells of every stage", "126"),
            ("tile", "64", "tiles of transformer of at most 64 pixels", "128"),
        ] as [(String, String?, String, String)] {
            var damaged = known
            damaged[key] = value
            XCTAssertEqual(
                refusal(damaged),
                "The model can't be used: expected \(expected), found \(found).")
        }
    }

    func testAChainThatContradictsItselfIsRefused() throws {
        let known = try metadata("tinysr")
        let json = try XCTUnwrap(known["chain"])
        for (from, to, said) in [
            (json, "none", "a chain of stages in the metadata"),
            ("\"halo\":20", "\"side\":20", "found no 'halo' at stages.0.division"),
            ("\"kind\":\"windows\"", "\"kind\":\"rows\"", "unknown division 'rows'"),
            ("\"channels\":3", "\"channels\":\"3\"", "at fields.0.channels"),
            ("{\"scale\":4", "{\"scale\":40", "a scale from 1 to 16"),
            ("{\"scale\":4", "{\"scale\":2", "'image' of 3 channels and 2 pixels"),
            ("\"overlap\":8", "\"overlap\":64", "tiles of transformer"),
            ("\"overlap\":8", "\"overlap\":7", "divide by 2"),
            ("\"gives\":\"restored\"", "\"gives\":\"latents\"", "one by one"),
            ("\"name\":\"encoder\"", "\"name\":\"decoder\"", "different names"),
            ("\"channels\":16", "\"channels\":0", "sizes from 1"),
            ("\"pixels_per_cell\":8", "\"pixels_per_cell\":6", "cells of encoder"),
            ("\"align\":1", "\"align\":0", "an alignment of encoder"),
            ("\"halo\":20", "\"halo\":-1", "surroundings of encoder"),
            (
                "\"enlarges\":\"none\"", "\"enlarges\":\"pillow-8-bit\"",
                "expected a model that takes images as they are"
            ),
        ] {
            XCTAssertTrue(json.contains(from), from)
            var damaged = known
            damaged["chain"] = json.replacingOccurrences(of: from, with: to)
            let found = refusal(damaged)
            XCTAssertTrue(found.contains(said), "\(found): expected \(said)")
            XCTAssertFalse(found.contains("\n"), found)
        }
    }

    func testATileThatIsAllSurroundingsIsRefused() throws {
        var known = try metadata("tinysr")
        known["chain"] = known["chain"]?.replacingOccurrences(
            of: "\"halo\":20", with: "\"halo\":32")
        let spec = try ChainSpec(metadata: known)
        XCTAssertThrowsError(
            try Division(of: Size(width: 256, height: 128), spec: spec, hasStages: true)
        ) { error in
            XCTAssertTrue(error.localizedDescription.contains("a tile of over 128 pixels"))
        }
        let tile = Size(width: 128, height: 128)
        let division = try Division(of: tile, spec: spec, hasStages: true)
        XCTAssertEqual(division.functions, ["upscale"])
        XCTAssertEqual(division.runs, 1)
    }

    func testAStageThatTakesAWholeImageRefusesLargerOnes() throws {
        var known = try metadata("tinysr")
        known["chain"] = known["chain"]?.replacingOccurrences(
            of: "{\"kind\":\"windows\",\"halo\":19}",
            with: "{\"kind\":\"whole\",\"most_cells\":99}")
        let spec = try ChainSpec(metadata: known)
        let tile = Size(width: 128, height: 128)
        for (hasStages, name) in [(true, "decoder"), (false, "upscale")] {
            XCTAssertEqual(try Division(of: tile, spec: spec, hasStages: hasStages).runs, 1)
            XCTAssertThrowsError(
                try Division(
                    of: Size(width: 256, height: 128), spec: spec, hasStages: hasStages)
            ) { error in
                XCTAssertEqual(
                    error as? TinySRError,
                    .imageUnfit(
                        expected: "128×128 pixels, which \(name) takes as a whole",
                        found: "256×128"))
            }
        }
    }

    /// Only a model whose last stage is blended, or one that has no functions for its stages, is
    /// made of finished tiles.
    func testWhatIsExactIsSaid() throws {
        for (name, hasStages, isExact) in [
            ("tinysr", true, true), ("tinysr", false, false), ("doubler", true, false),
            ("doubler", false, false), ("sharpener", true, true),
        ] {
            let spec = try golden.spec(name)
            XCTAssertEqual(spec.isExact(hasStages: hasStages), isExact, name)
        }
    }

    /// Convolutions one after the other are one convolution that sees farther.
    func testAWholeOfWindowsRunsOnWindows() throws {
        var known = try metadata("tinysr")
        known["chain"] = known["chain"]?.replacingOccurrences(
            of: "{\"kind\":\"tiles\",\"side\":64,\"overlap\":8}",
            with: "{\"kind\":\"windows\",\"halo\":1}")
        let spec = try ChainSpec(metadata: known)
        XCTAssertEqual(spec.whole.division, .windows(halo: 80))
        XCTAssertTrue(spec.isExact(hasStages: false))
        XCTAssertEqual(
            try golden.spec("tinysr").whole.division, .tiles(side: 128, overlap: 16))
    }
}
