/// A model as a chain of stages: what each reads and gives, and how an image is divided for it.
///
/// It is `Chain` of `src/tinysr/chain.py`. Packages carry it as JSON; what only others need, such
/// as the memory of a stage, is not read.
struct Chain: Decodable, Equatable, Sendable {
    /// Name of what the first stage reads: RGB.
    static let image = "image"
    /// Name of what the last stage gives: RGB.
    static let result = "upscaled"
    /// Name of the function of all stages in one, for one tile; and of the only stage of a chain
    /// that has but one.
    static let whole = "upscale"

    /// A tensor `[1, channels, h, w]` between two stages, or at an end of the chain.
    struct Field: Decodable, Equatable, Sendable {
        let name: String
        let channels: Int
        /// Pixels of the result along the side of a cell, which is one place of the tensor.
        let pixelsPerCell: Int
    }

    /// One function: planes go in, planes come out.
    ///
    /// Its *cells* are those of the coarser of the two: all its sizes are told in them.
    struct Stage: Decodable, Equatable, Sendable {
        let name: String
        let reads: String
        let gives: String
        let division: Kind
        /// Cells that the sides of its input divide by.
        let align: Int
    }

    /// Way in which an image is divided among runs of a stage.
    enum Kind: Equatable, Sendable {
        /// Windows with `halo` cells of their surroundings: exact, for convolutions alone.
        case windows(halo: Int)
        /// Squares of `side` cells that share `overlap`, whose results are blended.
        case tiles(side: Int, overlap: Int)
        /// No division: every place depends on the whole image.
        case whole
    }

    /// Sides of the result over those of the image.
    let scale: Int
    let fields: [Field]
    /// In the order in which they run.
    let stages: [Stage]
    /// Way in which an image is brought to the result's size before the first stage; only `none`,
    /// or nothing at all, is supported.
    var enlarges: String? = nil
}

extension Chain {
    /// Names of the stages, in their order.
    var names: [String] { stages.map(\.name) }

    /// Names of all functions: the whole, and one for each stage.
    var functions: [String] { names.contains(Self.whole) ? names : [Self.whole] + names }

    /// Pixels that the sides of an image divide by.
    var multiple: Int {
        stages.reduce(scale) { leastMultiple($0, $1.align * cell($1)) } / scale
    }

    /// Returns what a stage, or the whole, reads and gives.
    func ends(_ function: String) -> (reads: Field, gives: Field) {
        guard let index = stages.firstIndex(where: { $0.name == function }) else {
            return (fields[0], fields[fields.count - 1])
        }
        return (fields[index], fields[index + 1])
    }

    /// Returns the pixels of the result along the side of a stage's cell.
    func cell(_ stage: Stage) -> Int {
        let (reads, gives) = ends(stage.name)
        return max(reads.pixelsPerCell, gives.pixelsPerCell)
    }

    /// Returns the places along a cell's side of what a stage reads, and of what it gives.
    func places(_ stage: Stage) -> (reads: Int, gives: Int) {
        let (reads, gives) = ends(stage.name)
        return (cell(stage) / reads.pixelsPerCell, cell(stage) / gives.pixelsPerCell)
    }

    /// Returns pixels of the image for cells of a stage.
    func pixels(_ stage: Stage, _ cells: Int) -> Int { cells * cell(stage) / scale }
}

extension Chain.Kind: Decodable {
    private enum Key: String, CodingKey {
        case kind, halo, side, overlap
    }

    init(from decoder: Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        switch try values.decode(String.self, forKey: .kind) {
        case "windows":
            self = .windows(halo: try values.decode(Int.self, forKey: .halo))
        case "tiles":
            self = .tiles(
                side: try values.decode(Int.self, forKey: .side),
                overlap: try values.decode(Int.self, forKey: .overlap))
        case "whole":
            self = .whole
        case let other:
            throw DecodingError.dataCorruptedError(
                forKey: .kind, in: values, debugDescription: "unknown division '\(other)'")
        }
    }
}

/// Returns the least number that both divide.
private func leastMultiple(_ a: Int, _ b: Int) -> Int {
    var (divisor, rest) = (a, b)
    while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
    return a / divisor * b
}
