import Foundation

@testable import TinySRKit

/// What the Python runtime computed; `tests/support/golden_swift.py` of the project writes it.
struct Golden: Decodable {
    struct Array: Decodable {
        let shape: [Int]
        let values: [Float]

        /// `[channels, height, width]`.
        var planes: Planes {
            Planes(channels: shape[0], height: shape[1], width: shape[2], values: values)
        }
    }

    struct Starts: Decodable {
        let length, tile, overlap: Int
        let starts: [Int]
    }

    struct Windows: Decodable {
        let length, side, halo: Int
        let spans: [[Int]]
    }

    struct Function: Decodable {
        let name: String
        let sides: [Int]
    }

    struct Chain: Decodable {
        let name, json: String
        let tile, multiple: Int
        let functions: [Function]
    }

    struct Part: Decodable {
        let stage: String
        /// Numbers of each window along a side, or the start of each tile.
        let rows, columns: [[Int]]
    }

    struct Division: Decodable {
        let chain: String
        let size: [Int]
        let parts: [Part]
    }

    struct Plan: Decodable {
        let chain: String
        let size, scaled, padded, output: [Int]
        let resampled: Bool
        let megapixels: Double
    }

    struct Gaussian: Decodable {
        let tile: Int
        let weights: Array
    }

    struct Blend: Decodable {
        let size: [Int]
        let tile, overlap, reads, writes: Int
        let source, ripple, blended: Array
    }

    struct Resize: Decodable {
        let image: Array
        let size: [Int]
        let resized: Array
    }

    struct Adain: Decodable {
        let source: Array
        let result: Data
        let fixed: Array
    }

    struct Wavelet: Decodable {
        let source: Array
        let result: Data
        let fixed: Array
    }

    struct Clamp: Decodable {
        let source: Array
        let result: Data
        let clamped: Array
    }

    struct Render: Decodable {
        let name, network, color: String
        let stages: Bool
        let width, height: Int
        let pixels, upscaled: Data
    }

    let starts: [Starts]
    let windows: [Windows]
    let chains: [Chain]
    let plans: [Plan]
    let divisions: [Division]
    let gaussians: [Gaussian]
    let blends: [Blend]
    let resizes: [Resize]
    let adains: [Adain]
    let wavelets: [Wavelet]
    let opacities: [Clamp]
    let renders: [Render]

    /// Returns what a package of a chain says of itself, by the chain's name.
    func spec(_ name: String) throws -> ChainSpec {
        guard let known = chains.first(where: { $0.name == name }) else {
            throw CocoaError(.coderValueNotFound)
        }
        return try ChainSpec(metadata: ["chain": known.json, "tile": "\(known.tile)"])
    }

    static func load() throws -> Golden {
        guard let url = Bundle.module.url(forResource: "golden", withExtension: "json") else {
            throw CocoaError(.fileNoSuchFile)
        }
        return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url))
    }
}
