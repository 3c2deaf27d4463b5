import Foundation

@testable import TinySRKit

/// What the Python runtime computed; `tests/support/golden_swift.py` of the project writes the file.
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

    struct Plan: Decodable {
        let tile: Int
        let size, scaled, padded, output: [Int]
        let resampled: Bool
        let megapixels: Double
    }

    struct Gaussian: Decodable {
        let tile: Int
        let weights: Array
    }

    struct Blend: Decodable {
        let tile, overlap: Int
        let latents, ripple, blended: Array
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
        let name, color: String
        let stages: Bool
        let width, height: Int
        let pixels, upscaled: Data
    }

    let starts: [Starts]
    let windows: [Windows]
    let plans: [Plan]
    let gaussians: [Gaussian]
    let blends: [Blend]
    let resizes: [Resize]
    let adains: [Adain]
    let wavelets: [Wavelet]
    let opacities: [Clamp]
    let renders: [Render]

    static func load() throws -> Golden {
        guard let url = Bundle.module.url(forResource: "golden", withExtension: "json") else {
            throw CocoaError(.fileNoSuchFile)
        }
        return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url))
    }
}
