/// How the model divides an image; what `tinysr export` writes into the package's metadata.
struct TileSpec: Equatable, Sendable {
    /// Output side over input side.
    static let scale = 4
    /// Image pixels along a latent pixel's side.
    static let latentStride = 2

    /// Side of a tile, in image pixels.
    let tile: Int
    /// Latent pixels that neighbouring tiles share at least.
    let overlap: Int
    /// Image pixels around a window that its latents depend on.
    let haloEncoder: Int
    /// Latent pixels around a window that its result depends on.
    let haloDecoder: Int

    /// Side of a tile, in latent pixels.
    var latentTile: Int { tile / Self.latentStride }

    /// Image pixels that neighbouring tiles share at least.
    var pixelOverlap: Int { overlap * Self.latentStride }

    /// Latent pixels around a window, for both stages.
    var halo: Int {
        max((haloEncoder + Self.latentStride - 1) / Self.latentStride, haloDecoder)
    }

    init(tile: Int, overlap: Int, haloEncoder: Int, haloDecoder: Int) throws {
        self.tile = tile
        self.overlap = overlap
        self.haloEncoder = haloEncoder
        self.haloDecoder = haloDecoder
        let fits = tile > 0 && tile % 4 == 0 && overlap >= 0 && overlap % 2 == 0
        guard fits, overlap < latentTile, haloEncoder >= 0, haloDecoder >= 0 else {
            throw TinySRError.modelUnfit(
                expected: "a tile of 4n pixels and an even overlap below its \(latentTile) latents",
                found: "tile \(tile), overlap \(overlap), halo \(haloEncoder) and \(haloDecoder)")
        }
    }

    /// Reads the keys `tile`, `overlap`, `halo_encoder`, `halo_decoder` and `scale`.
    init(metadata: [String: String]) throws {
        func number(_ key: String) throws -> Int {
            guard let value = metadata[key].flatMap({ Int($0) }) else {
                throw TinySRError.modelUnfit(
                    expected: "a whole number as \(key) in the metadata",
                    found: metadata[key] ?? "none")
            }
            return value
        }
        guard try number("scale") == Self.scale else {
            throw TinySRError.modelUnfit(
                expected: "scale \(Self.scale)", found: metadata["scale"] ?? "none")
        }
        try self.init(
            tile: number("tile"), overlap: number("overlap"),
            haloEncoder: number("halo_encoder"), haloDecoder: number("halo_decoder"))
    }
}

/// Returns where tiles start along a side: every `tile - overlap`, the last one flush.
///
/// - Parameter length: the side, at least `tile`.
func tileStarts(length: Int, tile: Int, overlap: Int) -> [Int] {
    stride(from: 0, to: length - tile, by: tile - overlap) + [length - tile]
}

/// A window along one side, in latent pixels.
struct Span: Equatable, Sendable {
    let start: Int
    let stop: Int
    /// Where the part begins that this window gives; it ends before `last`.
    let first: Int
    let last: Int

    /// The part that is kept, counted from the window's start.
    var kept: Range<Int> { first - start..<last - start }
}

/// Covers a side with windows of exactly `side`: a Core ML package takes no sizes but those it lists.
///
/// A window gives its inner part, `side - 2 * halo`, and what reaches the image's own borders:
/// there the padding of the convolutions is that of the whole image. So windows together give what
/// the whole image would.
///
/// - Parameter length: at least `side`, which is more than two halos.
func windowSpans(length: Int, side: Int, halo: Int) -> [Span] {
    let core = side - 2 * halo
    let count = length <= side ? 1 : (length - 2 * halo + core - 1) / core
    var spans: [Span] = []
    var first = 0
    for index in 0..<count {
        let start = min(index * core, length - side)
        let last = index == count - 1 ? length : start + side - halo
        spans.append(Span(start: start, stop: start + side, first: first, last: last))
        first = last
    }
    return spans
}
